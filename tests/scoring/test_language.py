"""Every word of the rule language: it is read, checked, told in English, applied by SQL, and comes back from
the editor's form as it went in."""

from itertools import product

import pytest
from django.http import QueryDict

from leadflow.errors import BadInput
from leadflow.leads.models import ActivityKind, CustomField
from scoring import engine
from scoring.conditions import nodes as n
from scoring.conditions.check import check_condition, check_document
from scoring.conditions.explain import criterion_sentence, sentence, words_for
from scoring.conditions.leaves import ops_of
from scoring.conditions.parse import parse, parse_measure
from scoring.document import Document
from scoring.editing import tree
from tests.scoring.sample import bands, content, did, each, fact, has, once, score

pytestmark = pytest.mark.django_db

OWN = [
    {"key": "tier", "subject": "lead", "type": "text", "label": "Tier"},
    {"key": "seats_wanted", "subject": "lead", "type": "number", "label": "Seats wanted"},
    {"key": "renewal", "subject": "lead", "type": "date", "label": "Renewal"},
    {"key": "pilot", "subject": "company", "type": "boolean", "label": "Pilot"},
]
# For each type of fact one of each place where it can stand: a column, a custom field.
TEXTS = ("title", "country", "email_domain", "company_name", "custom.tier")
NUMBERS = ("employees", "custom.seats_wanted")
VALUES = {
    "is": ["Gold", "Silver"],
    "is_not": ["Gold"],
    "has_word": ["vice president", "CEO"],
    "contains": ["sales"],
    "starts_with": ["Head"],
    "in_list": "we_sell_to",
    "domain_kind": ["work", "customer"],
}
COMPARE = tuple(n.ORDER_OPS)


def facts():
    for key, op in product(TEXTS, n.TEXT_OPS):
        if op != "has_word" or key in ("title", "company_name", "custom.tier"):
            yield fact(key, op, VALUES[op])
    yield fact("email_domain", "domain_kind", VALUES["domain_kind"])
    yield fact("company_domain", "domain_kind", list(n.DOMAIN_KINDS)[:3])
    for key, op in product(NUMBERS, COMPARE):
        yield fact(key, op, 12.5 if op == "gt" else 12)
    yield fact("employees", "between", [10, 99.5])
    for op in COMPARE:
        yield fact("custom.renewal", op, "2026-11-24")
    yield fact("custom.renewal", "between", ["2026-01-01", "2026-12-31"])
    yield fact("custom.renewal", "in_last_days", 30)
    for key, op in product(("is_target", "is_customer", "do_not_contact", "custom.pilot"), n.BOOLEAN_OPS):
        yield fact(key, op)
    for key, op in product((*TEXTS, *NUMBERS, "custom.renewal", "custom.pilot"), n.KNOWN_OPS):
        yield fact(key, op)


def filters():
    for op in ("is", "is_not", "contains", "starts_with"):
        yield {"property": "path", "op": op, "value": ["/pricing"]}
    for name in ("campaign", "content", "channel", "result", "message_key", "title"):
        yield {"property": name, "op": "is", "value": ["spring"]}
    yield {"property": "path", "op": "in_list", "value": "we_sell_to"}
    for op in COMPARE:
        yield {"property": "minutes", "op": op, "value": 20}
    yield {"property": "minutes", "op": "between", "value": [10, 30]}
    for op in n.KNOWN_OPS:
        yield {"property": "minutes", "op": op}


def behaviours():
    for agg, op in product(("count", "days"), COMPARE):
        yield did("visit", days=30, agg=agg, op=op, value=2)
    yield did("webinar_attended", agg="sum", property="minutes", op="gte", value=60.5)
    for op in COMPARE:
        yield did("visit", "page_view", agg="recency", op=op, value=7)
    for where in filters():
        yield did("webinar_attended", days=90, where=[where], agg="count", op="gte", value=1)
    yield did("page_view", agg="count", op="gte", value=1)


def ratios():
    for op in COMPARE:
        ratio = {"of": "email_clicked", "to": "email_sent", "days": 90, "min": 5}
        yield {"ratio": ratio, "op": op, "value": 0.25}


def others():
    yield {"changed": "employees", "days": 14}
    yield has("b1")
    yield has("b1", 90)
    yield {"active_days": 14}
    yield {"contactable": True}
    yield {"contactable": False}
    yield {"persona": "core"}


def of_bars():
    for group, op in product(n.SCORES, COMPARE):
        yield {"score": group, "op": op, "value": 10}
    yield {"grade": ["A1", "B2"]}
    yield {"stage": ["mql", "customer"]}


def of_handoffs():
    yield {"handoff": "kind", "op": "is", "value": "fast_track"}
    yield {"handoff": "kind", "op": "is_not", "value": "bar"}
    yield {"handoff": "kind", "op": "is", "value": ["bar", "callback"]}
    yield {"handoff": "fast_track", "op": "is", "value": True}
    yield {"handoff": "fast_track", "op": "is", "value": 1}
    yield {"handoff": "letter", "op": "is", "value": "A"}
    yield {"handoff": "team_hours", "op": "is", "value": False}


def trees():
    a, b = fact("title", "known"), {"active_days": 14}
    yield {"all": [a, b]}
    yield {"any": [a, {"all": [b, {"not": a | {"op": "unknown"}}]}]}
    yield {"not": {"any": [a, b]}}
    yield {"version": 1, "all": [a, b]}


EVERYTHING = [
    *((raw, "criterion") for raw in (*facts(), *behaviours(), *ratios(), *others(), *trees())),
    *((raw, "bar") for raw in of_bars()),
    *((raw, "handoff") for raw in of_handoffs()),
]


@pytest.fixture(scope="module")
def document():
    core = {"key": "core", "name": "Core", "condition": fact("title", "has_word", ["CEO"])}
    return Document(content(fields=OWN, personas=[core]))


@pytest.fixture
def fields(db):
    for own in OWN:
        CustomField.objects.create(**own)


def test_every_word_of_the_language_is_sound_and_told(document, fields):
    words, wrong = words_for(document), []
    for raw, scope in EVERYTHING:
        wrong += [(raw, fault.message) for fault in check_condition(raw, document, scope=scope)]
        told = sentence(raw, words)
        if not told or "{" in told or "custom." in told:
            wrong.append((raw, told))
    assert wrong == []


def test_no_two_conditions_are_told_alike(document, fields):
    words = words_for(document)
    told: dict[str, object] = {}
    for raw, _ in EVERYTHING:
        other = told.setdefault(sentence(raw, words), raw)
        assert parse(other) == parse(raw), (other, raw)


def test_every_word_of_the_language_is_applied(put_in_force, document, fields, at, make_lead):
    put_in_force(document.content)
    lead = make_lead(title="CEO", **{"custom.renewal": "2026-11-24"})
    given = {lead.pk: {"kind": "bar", "fast_track": 1, "letter": "A", "team_hours": True}}
    for raw, _ in EVERYTHING:
        yes = engine.match(raw, [lead.pk], at, given=given)
        no = engine.match({"not": raw}, [lead.pk], at, given=given)
        assert len(yes) + len(no) == 1, raw


def posted(view, data):
    """What a browser sends of a condition as it stands."""
    data[f"{view.name}.is"] = data[f"{view.name}.was"] = view.kind
    if view.negated:
        data[f"{view.name}.not"] = "1"
    if view.is_group:
        data[f"{view.name}.n"] = str(len(view.items))
        for item in view.items:
            posted(item, data)
        return
    for control in view.controls:
        if control.kind == "choices":
            data.setlist(control.name, list(control.chosen))
        elif control.kind == "select":
            offered = [key for key, _ in control.options]
            offered += [key for _, options in control.groups for key, _ in options]
            # A browser sends the first option where the chosen one is not offered.
            value = control.value if control.value in offered else (offered or [""])[0]
            data.appendlist(control.name, value)
        elif control.name:
            data.appendlist(control.name, control.value)


def test_every_word_of_the_language_comes_back_from_the_editor(document, fields):
    choices, wrong = tree.choices_for(document), []
    for raw, scope in EVERYTHING:
        data = QueryDict(mutable=True)
        posted(tree.view(raw, "c", "condition", scope, choices), data)
        back = tree.read(data, "c", choices)
        if meaning(back) != meaning(raw):
            wrong.append((raw, back))
    assert wrong == []


def meaning(raw):
    try:
        return parse(raw)
    except BadInput as bad:
        return bad.faults


def test_the_editor_offers_every_comparison_that_fits(document, fields):
    choices = tree.choices_for(document)
    for fact_ in choices.facts.values():
        assert set(tree.ops_of(fact_)) == set(ops_of(fact_)), fact_.key


@pytest.mark.parametrize("decay", [None, "half_life", "linear", "expiry"])
@pytest.mark.parametrize("mode", ["once", "each"])
def test_every_mode_and_fading_is_sound_and_told(document, fields, mode, decay):
    made = (
        each("new", 5, did("visit", days=90), 14, 15, 2)
        if mode == "each"
        else once("new", "fit", 5, did("visit"))
    )
    made["decay"] = {"kind": decay, "days": 14} if decay else None
    body = {**document.content, "criteria": [*document.content["criteria"], made]}
    assert check_document(Document(body)) == []
    told = criterion_sentence(Document(body).criteria[-1], words_for(document))
    assert {None: "came to the site", "half_life": "halves every 14 days"}.get(decay, "14 days") in told


@pytest.mark.parametrize(
    "of",
    [
        {"fact": "custom.seats_wanted"},
        {"fact": "employees"},
        {"did": {"kinds": ["visit"], "days": 30}, "agg": "days"},
        {"did": {"kinds": ["visit"], "days": None}, "agg": "count"},
        {"did": {"kinds": ["webinar_attended"], "days": 90}, "agg": "sum", "property": "minutes"},
    ],
)
def test_every_measure_of_steps_is_sound_and_comes_back_from_the_editor(document, fields, of):
    made = bands("new", "value", of, [[2, 3], [10, 8]])
    body = {**document.content, "criteria": [*document.content["criteria"], made]}
    assert check_document(Document(body)) == []
    choices = tree.choices_for(document)
    data = QueryDict(mutable=True)
    posted(tree.measure_view(of, "o", "of", choices), data)
    back = tree.read_leaf(data, "o", choices, measure=True)
    assert parse_measure(back) == parse_measure(of)


def test_score_is_asked_only_where_there_is_one(document, fields):
    assert check_condition(score("total", 50), document, scope="bar") == []
    assert check_condition(score("total", 50), document, scope="criterion") != []


def test_the_editor_offers_what_is_retired_only_where_a_rule_has_it(document, fields, at):
    ActivityKind.objects.filter(key__in=["question", "social_follow"]).update(active=False)
    CustomField.objects.filter(key="tier").update(retired_at=at)
    rule = once("new", "behaviour", 5, did("question"))
    choices = tree.choices_for(Document({"criteria": [rule], "fields": OWN}))
    assert "question" in choices.kinds
    assert "social_follow" not in choices.kinds
    assert "custom.tier" not in choices.facts
    assert "custom.renewal" in choices.facts
