"""SQL and the oracle agree on generated agreements × generated worlds, to the hundredth of a point."""

import os
from datetime import timedelta
from operator import itemgetter

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scoring import current, explanation, rows
from scoring.arithmetic import decay_table
from scoring.document import Decay, Document
from scoring.program import SCORE_COLUMNS
from tests.scoring import world as w
from tests.scoring.oracle import Oracle, faded
from tests.scoring.sample import content

pytestmark = pytest.mark.django_db

PLACES = [
    "germany",
    "köln",
    "san josé",
    "gmail.com",
    "vice president",
    "/blog",
    "m2",
    "fair",
    "guide",
    "phone",
    "5",
]
NUMBERS = ["eq", "ne", "lt", "lte", "gt", "gte"]
DAYS = st.sampled_from([1, 2, 7, 14, 30, 90])


TEXTS = [
    *("title", "country", "city", "phone", "email", "email_domain", "first_source", "first_campaign"),
    *("company_name", "company_domain", "company_country", "industry", "custom.tier", "custom.branch"),
]
WITH_WORDS = {"title", "industry", "company_name", "custom.tier", "custom.branch"}
NUMERIC = ["employees", "revenue", "custom.seats", "custom.fleet"]
YES_NO = [
    "is_target",
    "is_competitor",
    "is_partner",
    "is_own",
    "custom.happy",
    "is_customer",
    "do_not_contact",
]


def words_of(key):
    found = {str(v) for v in w.VALUES.get(key, []) if v is not None}
    found |= {"it", "vp", "vice president", "food", "pres", "GOLD", "gmail.com", "p1.", "firm0", "+49"}
    return st.lists(st.sampled_from(sorted(found)), min_size=1, max_size=3)


@st.composite
def facts(draw):
    kind = draw(st.sampled_from(["text", "text", "number", "date", "boolean", "domain", "known"]))
    if kind == "text":
        key = draw(st.sampled_from(TEXTS))
        ops = ["is", "is_not", "contains", "starts_with", "in_list"] + ["has_word"] * (key in WITH_WORDS)
        op = draw(st.sampled_from(ops))
        return {"fact": key, "op": op, "value": "places" if op == "in_list" else draw(words_of(key))}
    if kind == "number":
        key = draw(st.sampled_from(NUMERIC))
        if draw(st.booleans()):
            low, high = sorted(draw(st.tuples(*[st.sampled_from([0, 9, 10, 50, 50.5, 99.99, 320])] * 2)))
            return {"fact": key, "op": "between", "value": [low, high]}
        return {
            "fact": key,
            "op": draw(st.sampled_from(NUMBERS)),
            "value": draw(st.sampled_from([0, -3, 10, 50.5, 99.99, 200])),
        }
    if kind == "date":
        op = draw(st.sampled_from(["in_last_days", "between", *NUMBERS]))
        value = draw(DAYS) if op == "in_last_days" else draw(dates(op))
        return {"fact": "custom.since", "op": op, "value": value}
    if kind == "boolean":
        return {"fact": draw(st.sampled_from(YES_NO)), "op": draw(st.sampled_from(["is_true", "is_false"]))}
    if kind == "domain":
        kinds = ["free_mail", "throwaway", "work", "own", "competitor", "partner", "customer"]
        value = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=2))
        return {"fact": "email_domain", "op": "domain_kind", "value": value}
    key = draw(st.sampled_from([*w.VALUES, "email_domain", "company_name"]))
    return {"fact": key, "op": draw(st.sampled_from(["known", "unknown"]))}


def dates(op):
    day = st.sampled_from(["2026-03-16", "2026-03-29", "2026-03-30", "2026-12-31"])
    return st.lists(day, min_size=2, max_size=2).map(sorted) if op == "between" else day


@st.composite
def wheres(draw):
    """A filter on a property: in a column of its own, or typed in the properties, rightly or not."""
    kind = draw(st.sampled_from(["text", "number", "date", "known"]))
    columns = ["path", "channel", "result", "message_key", "campaign", "content"]
    if kind == "known":
        name = draw(st.sampled_from([*columns, "title", "seats", "day"]))
        return {"property": name, "op": draw(st.sampled_from(["known", "unknown"]))}
    if kind == "number":
        op = draw(st.sampled_from(["between", *NUMBERS]))
        value = [5, 50.5] if op == "between" else draw(st.sampled_from([5, 50, 50.5]))
        return {"property": draw(st.sampled_from(["seats", "title"])), "op": op, "value": value}
    if kind == "date":
        op = draw(st.sampled_from(["between", *NUMBERS]))
        return {"property": "day", "op": op, "value": draw(dates(op))}
    op = draw(st.sampled_from(["is", "is_not", "contains", "starts_with", "in_list"]))
    texts = ["/Pricing", "/blog", "m1", "phone", "TALKED", "spring-26", "guide", "case-study", "big", "50"]
    value = "places" if op == "in_list" else draw(st.lists(st.sampled_from(texts), min_size=1, max_size=3))
    return {"property": draw(st.sampled_from([*columns, "title", "seats"])), "op": op, "value": value}


@st.composite
def dids(draw):
    inner = {
        "kinds": draw(st.lists(st.sampled_from(w.KINDS), min_size=1, max_size=3, unique=True)),
        "days": draw(st.none() | DAYS),
    }
    where = draw(st.lists(wheres(), max_size=2))
    return inner | {"where": where} if where else inner


@st.composite
def behaviours(draw):
    agg = draw(st.sampled_from(["count", "days", "sum", "recency"]))
    leaf = {"did": draw(dids()), "agg": agg, "op": draw(st.sampled_from(NUMBERS))}
    if agg == "sum":
        leaf["property"] = "seats"
    return leaf | {"value": draw(st.sampled_from([0, 1, 2, 3, 14, 55.5]))}


@st.composite
def others(draw):
    return draw(
        st.sampled_from(
            [
                {"active_days": 14},
                {"active_days": 1},
                {"contactable": True},
                {"contactable": False},
                {"stage": ["mql", "customer"]},
                {"persona": "core"},
                {"changed": "title", "days": 14},
                {"changed": "employees", "days": 30},
                {"changed": "custom.seats", "days": 2},
                {"changed": "email_domain", "days": 30},
                {"changed": "custom.branch", "days": 90},
                {"changed": "company_name", "days": 14},
                {"changed": "first_campaign", "days": 1},
                {
                    "ratio": {"of": "email_clicked", "to": "email_sent", "days": 90, "min": 1},
                    "op": "gte",
                    "value": 0.5,
                },
                {
                    "ratio": {"of": "email_clicked", "to": "email_sent", "days": 30, "min": 2},
                    "op": "lt",
                    "value": 1,
                },
            ]
        )
    )


LEAVES = facts() | behaviours() | others()


def nested(leaves):
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda x: {"all": x}),
            st.lists(inner, min_size=1, max_size=3).map(lambda x: {"any": x}),
            inner.map(lambda x: {"not": x}),
        ),
        max_leaves=4,
    ).filter(lambda raw: depth(raw) <= 5)


def depth(raw):
    parts = raw.get("all") or raw.get("any") or ([raw["not"]] if "not" in raw else [])
    return 1 + max(map(depth, parts), default=0)


DECAYS = st.one_of(
    st.none(),
    st.builds(
        lambda kind, days: {"kind": kind, "days": days},
        st.sampled_from(["half_life", "linear", "expiry"]),
        st.sampled_from([1, 2, 7, 8, 14, 30, 180]),
    ),
)
POINTS = st.sampled_from([25, 15, 7, 3, 1, -1, -5, -10])


@st.composite
def criteria(draw, number):
    base = {
        "id": f"c{number}",
        "group": draw(st.sampled_from(["fit", "behaviour", "value"])),
        "text": "",
        "on": True,
    }
    mode = draw(st.sampled_from(["once", "aged", "each", "bands"]))
    if mode == "bands":
        of = draw(
            st.just({"fact": "custom.seats"})
            | st.builds(lambda d, a: {"did": d, "agg": a}, dids(), st.sampled_from(["count", "days"]))
        )
        steps = draw(st.sampled_from([[[1, 3], [2, 5], [10, -4]], [[0, 2]], [[9.5, 4], [50, 8]]]))
        return base | {"mode": "bands", "points": 0, "of": of, "bands": steps, "condition": None}
    points = draw(POINTS)
    if mode == "once":
        earlier = [{"criterion": f"c{i}"} for i in range(number)]
        earlier += [{"criterion": f"c{i}", "own_act_days": 14} for i in range(number)]
        pool = LEAVES | st.sampled_from(earlier) if earlier else LEAVES
        return base | {"mode": "once", "points": points, "condition": draw(nested(pool))}
    condition = {"did": draw(dids())}
    if draw(st.booleans()):
        condition = {"all": [condition, {"not": draw(LEAVES)}]}
    given_ = base | {"points": points, "condition": condition, "decay": draw(DECAYS)}
    if mode == "aged":
        return given_ | {"mode": "once"}
    return given_ | {
        "mode": "each",
        "max_points": draw(st.sampled_from([None, 1, 6, 15])),
        "max_per_day": draw(st.sampled_from([None, 1, 2])),
    }


@st.composite
def contents(draw):
    count = draw(st.integers(2, 5))
    body = content(
        fields=w.FIELDS,
        lists={"places": {"label": "", "entries": PLACES}},
        personas=[{"key": "core", "name": "Core", "condition": draw(facts())}],
        criteria=[draw(criteria(i)) for i in range(count)],
        zone=draw(st.sampled_from(["Europe/Berlin", "America/New_York", "Pacific/Auckland"])),
        groups={
            "fit": {"floor": -3, "cap": 20},
            "behaviour": {"floor": -15, "cap": 9},
            "value": {"floor": 0, "cap": 20},
        },
        exclusions=[{"id": "x", "text": "", "why": "", "on": True, "condition": draw(nested(facts()))}],
    )
    score = {"score": draw(st.sampled_from(["total", "fit", "behaviour", "value"])), "op": "gte", "value": 5}
    last = f"c{count - 1}"
    body["thresholds"] |= {
        "mql_when": {"any": [score, draw(LEAVES)]},
        "sql_when": {
            "all": [score, {"any": [{"criterion": last, "own_act_days": 30}, {"grade": ["D4", "C3"]}]}]
        },
        "mql_leave_when": {"not": {"any": [score, {"active_days": 60}]}},
        "fast_tracks": [{"n": 2, "text": "", "condition": {"all": [{"criterion": "c0"}, draw(LEAVES)]}}],
    }
    body["stages"] = [
        {"stage": "prospect", "level": "researcher", "condition": None},
        {"stage": "prospect", "level": "influencer", "condition": draw(nested(LEAVES))},
    ]
    return body


INSTANTS = [
    (w.AT, w.AT),
    (w.AT - timedelta(days=14), w.AT - timedelta(days=14)),
    (w.AT - timedelta(days=14), w.AT),
    (w.AT, w.AT - timedelta(days=7)),
]
END = w.END


def answers(statement, args, columns):
    return {row[0]: dict(zip(columns, row, strict=False)) for row in rows.run(statement, args)}


def expected(scored, columns):
    return {name: getattr(scored, name) for name in columns if hasattr(scored, name)}


def many(count):
    """So many examples; EXAMPLES=20 in the environment makes it twenty times as many."""
    return settings(
        max_examples=count * int(os.environ.get("EXAMPLES", "1")),
        deadline=None,
        # A failure names the rule and the person; shrinking worlds takes minutes.
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )


@many(25)
@given(body=contents(), seed=st.integers(0, 10_000))
def test_sql_and_the_oracle_agree(snapshots, body, seed):
    with transaction.atomic():
        compare_all(body, w.make(seed))
        transaction.set_rollback(True)


@st.composite
def daily_contents(draw):
    """Agreements about days: how many of a day count, on how many days."""
    did = {"kinds": draw(st.sampled_from([["question"], ["question", "webinar_attended"]])), "days": None}
    parts = []
    for i in range(3):
        decay = {
            "kind": draw(st.sampled_from(["half_life", "linear"])),
            "days": draw(st.sampled_from([1, 8])),
        }
        base = {"id": f"c{i}", "group": "behaviour", "text": "", "on": True, "mode": "each"}
        limits = {"max_points": None, "max_per_day": draw(st.sampled_from([1, 2, 3]))}
        points = draw(st.sampled_from([25, 7, -5]))
        parts.append(base | limits | {"points": points, "condition": {"did": did}, "decay": decay})
    days = {"did": did, "agg": "days", "op": "eq", "value": draw(st.integers(1, 5))}
    once = {"id": "c3", "group": "fit", "text": "", "on": True, "mode": "once", "points": 1}
    parts.append(once | {"condition": days})
    calm = {"score": "total", "op": "gte", "value": 50}
    body = content(criteria=parts, zone=draw(st.sampled_from(w.ZONES)), exclusions=[], personas=[])
    bars = {"mql_when": calm, "sql_when": calm, "mql_leave_when": calm, "fast_tracks": []}
    body["thresholds"] |= bars
    body["stages"] = [{"stage": "prospect", "level": "researcher", "condition": None}]
    return body | {"groups": {g: {"floor": -900, "cap": 900} for g in ("fit", "behaviour", "value")}}


@many(20)
@given(body=daily_contents(), seed=st.integers(0, 10_000))
def test_a_day_is_a_day_of_the_agreements_zone_and_its_newest_acts_count(snapshots, body, seed):
    with transaction.atomic():
        compare_all(body, w.dense(seed))
        transaction.set_rollback(True)


@pytest.mark.parametrize("kind", ["half_life", "linear", "expiry"])
@pytest.mark.parametrize("days", [1, 3, 8, 30])
@pytest.mark.parametrize("points", [25, 15, 7, 1, -5])
def test_points_fade_to_the_hundredth_from_the_first_day_on(points, days, kind):
    table = decay_table(points, Decay(kind, days))
    assert table[0] == points * 100
    for age in range(2 * days + 3):
        raw = {"kind": kind, "days": days}
        assert table[min(age, len(table) - 1)] == faded(points, raw, age)


def compare_all(body, world):
    program = current.program_of(Document(body))
    subjects = [(p, at, known) for p in world.people for at, known in (*INSTANTS, (END, END))]
    args = [
        list(range(len(subjects))),
        [p.id for p, _, _ in subjects],
        [at for _, at, _ in subjects],
        [known for _, _, known in subjects],
    ]
    found = {row[0]: row for row in rows.run(program.explain(), args)}
    plain = answers(program.score("subjects", present=False), args, SCORE_COLUMNS)
    for key, (person, at, known) in enumerate(subjects):
        scored = Oracle(body, world, person, at, known).evaluate()
        if scored is None:
            assert key not in found
            continue
        row = found[key]
        head = dict(zip(SCORE_COLUMNS, row, strict=False))
        names = [n for n in SCORE_COLUMNS[2:] if n != "next_change"]
        pairs = row[len(SCORE_COLUMNS) + 6 :]
        shown = [(pairs[2 * i], pairs[2 * i + 1]) for i in range(len(body["criteria"]))]
        for criterion, sql, plain_python in zip(
            body["criteria"], shown, zip(scored.holds, scored.cents, strict=True), strict=True
        ):
            assert sql == plain_python, f"{criterion} of {person} at {at}, known at {known}"
        bars = {k: body[k] for k in ("thresholds", "stages", "exclusions")}
        assert {n: head[n] for n in names} == {n: getattr(scored, n) for n in names}, (
            f"{bars} {person} {at} {known}"
        )
        assert {n: plain[key][n] for n in names} == {n: head[n] for n in names}
    same_from_both_sources(program, world)
    same_without_history(program, world)
    quiet_until_the_next_change(program, world)


def same_without_history(program, world):
    """An offer reads no history where nothing was recorded since: lines, evidence and bars are the same."""
    ids = [p.id for p in world.people]
    args = (ids, ids, [END] * len(ids), [END] * len(ids))
    assert explanation._stands(ids, END)
    brief, whole = (rows.run(program.explain(present=present), args) for present in (True, False))
    assert sorted(brief, key=itemgetter(0)) == sorted(whole, key=itemgetter(0))
    if program.evidence() is not None:
        assert rows.run(program.evidence(present=True), args) == rows.run(program.evidence(), args)


def quiet_until_the_next_change(program, world):
    """Until the instant that the statement names, time alone changes neither an integer nor a bar."""
    ids = [p.id for p in world.people]
    now = answers(
        program.score("subjects", present=False),
        (ids, ids, [END] * len(ids), [END] * len(ids)),
        SCORE_COLUMNS,
    )
    later = {}
    for share in (0.3, 0.7, 0.999):
        for lead, row in now.items():
            calm = (row["next_change"] or END + timedelta(days=500)) - END
            if calm > timedelta(0):
                later[len(later)] = (lead, END + calm * share)
    if not later:
        return
    instants = [at for _, at in later.values()]
    args = (list(later), [lead for lead, _ in later.values()], instants, instants)
    for key, row in answers(program.score("subjects", present=False), args, SCORE_COLUMNS).items():
        before = now[later[key][0]]
        names = [n for n in SCORE_COLUMNS[2:] if n not in ("fresh", "next_change")]
        assert {n: row[n] for n in names} == {n: before[n] for n in names}, f"{before} {later[key]}"


def same_from_both_sources(program, world):
    ids = [p.id for p in world.people]
    for at, known in (*INSTANTS, (END, END)):
        one = answers(
            program.score("subjects", present=False),
            (ids, ids, [at] * len(ids), [known] * len(ids)),
            SCORE_COLUMNS,
        )
        all_ = answers(program.score("whole", present=False), (min(ids), max(ids), at, known), SCORE_COLUMNS)
        assert one == all_
    now = answers(
        program.score("subjects", present=True), (ids, ids, [END] * len(ids), [END] * len(ids)), SCORE_COLUMNS
    )
    whole = answers(program.score("whole", present=True), (min(ids), max(ids), END, END), SCORE_COLUMNS)
    assert now == whole == one


@pytest.mark.parametrize("half_life", [3, 14, 45])
def test_fading_is_foreseen_neither_too_late_nor_every_day(at, snapshots, make_lead, did, half_life):
    aged = {"kind": "half_life", "days": half_life}
    body = content(
        criteria=[c | {"decay": aged} for c in content()["criteria"] if c["id"] in ("b1", "b5", "b7")]
    )
    quiet = {"score": "total", "op": "gte", "value": 1}
    body["thresholds"] |= {"mql_when": quiet, "sql_when": quiet, "mql_leave_when": quiet, "fast_tracks": []}
    program = current.program_of(Document(body))
    lead = make_lead()
    for days in (0, 0.4, 3.3, 9):
        did(lead, "webinar_attended", days_ago=days)
    did(lead, "demo_requested", days_ago=1.7)
    days = range(420)
    instants = [at + timedelta(days=d) for d in days]
    ids = [lead.pk] * len(days)
    found = answers(
        program.score("subjects", present=False), (list(days), ids, instants, instants), SCORE_COLUMNS
    )
    calm_days = 0
    for day in days:
        until = found[day]["next_change"] or instants[-1]
        calm = [d for d in days[day + 1 :] if instants[d] < until]
        assert {found[d]["total"] for d in calm} <= {found[day]["total"]}
        calm_days += bool(calm)
    assert len({row["total"] for row in found.values()}) > 10
    assert calm_days > 100
