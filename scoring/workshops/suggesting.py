"""What a workshop suggests for the agreement. Nothing changes by itself: a person puts one into the draft."""

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from leadflow.accounts.actors import Actor
from leadflow.errors import Conflict, NotVisible
from leadflow.leads.folding import words as words_of
from scoring import agreements, rows
from scoring import current as applied
from scoring.document import GROUPS, Criterion, Document, canonical
from scoring.editing.parts import MUST_KNOW
from scoring.models import Agreement
from scoring.program import SCORE_COLUMNS
from scoring.workshops.comparing import Comparison, subjects
from scoring.workshops.marks import Found, Mark

Json = Any
Content = Mapping[str, Json]

# A new rule begins with so many points; an old one moves by half of what it gives.
FIRST_POINTS = 5
MOST_RULES = 5
# A bar is only moved for so many cards that both sides judged, and if it then is right on so many more.
BAR_CARDS, BAR_GAIN, BAR_REACH = 10, 2, 30
ASKED_BY = 2
# How people call what the agreement can ask for.
_ASKED = {
    "employees": {"employees", "size", "headcount"},
    "industry": {"industry", "branch", "sector"},
    "country": {"country", "region"},
    "title": {"title", "role", "position", "function"},
    "company_name": {"company", "employer"},
    "phone_or_email": {"phone", "mail", "email"},
    "first_source": {"source", "origin"},
}


@dataclass(frozen=True)
class Suggestion:
    """One change of the agreement. `done`: the draft has it. `slot`: the part of the editor it touches.
    `sure`: how far to trust it, in words, and the look of the tag."""

    key: str
    text: str
    why: str
    slot: str
    tab: str
    done: bool
    apply: Callable[[Content], dict[str, Json]]
    sure: tuple[str, str] = ("", "")


def suggest(comparison: Comparison, found: Found) -> list[Suggestion]:
    """What could be changed, the surest first; nothing without an agreement. One or two queries."""
    base = agreements.in_force() or agreements.draft()
    if base is None:
        return []
    draft = next((m.agreement for m in comparison.models if m.agreement.state == Agreement.State.DRAFT), None)
    before, after = Document(base.content), Document(draft.content) if draft else None
    name = comparison.workshop.name
    rules = [_rule(mark, before, after, name) for mark in found.marks if mark.hint]
    made = [one for one in rules if one is not None][:MOST_RULES]
    made += _bar(comparison, base, before, after)
    return made + list(_to_know(comparison, before, after))


def put(suggestions: Sequence[Suggestion], key: str, actor: Actor) -> tuple[Agreement, Suggestion]:
    """Put one suggestion into the draft; without a draft one is begun.

    Raises NotVisible for an unknown one, Conflict where the draft has it, and what `save_draft` raises.
    """
    one = next((s for s in suggestions if s.key == key), None)
    if one is None:
        raise NotVisible
    if one.done:
        raise Conflict("The draft has that already.")
    draft = agreements.draft() or agreements.create_draft(actor)
    saved = agreements.save_draft(
        draft, one.apply(draft.content), actor, draft.lock_version, what=one.text, slot=one.slot
    )
    return saved, one


def _key(kind: str, what: Json) -> str:
    return f"{kind}-{hashlib.sha256(canonical({'what': what}).encode()).hexdigest()[:12]}"


# Rules ---------------------------------------------------------------------------------------------------


def _rule(mark: Mark, before: Document, after: Document | None, name: str) -> Suggestion | None:
    numbers = f"{mark.with_good} of {mark.good} good, {mark.with_bad} of {mark.bad} not good"
    why = f"{numbers} in the workshop “{name}”"
    old = _same_rule(mark.condition, before)
    if old is None:
        return _new_rule(mark, after or before, after is not None, why)
    if (old.points > 0) == mark.for_good:
        more = old.points + (1 if old.points > 0 else -1) * ceil(abs(old.points) / 2)
        text = f"“{old.text}”: {_signed(old.points)} → {_signed(more)}"
    else:
        more, text = 0, f"“{old.text}”: {_signed(old.points)} → 0, it marks the others"
    there = after.criterion(old.id) if after else None
    done = after is not None and (there is None or _at_least(there.points, more, old.points))

    def change(content: Content) -> dict[str, Json]:
        made = copy.deepcopy(dict(content))
        for raw in made["criteria"]:
            if raw["id"] == old.id:
                raw["points"] = more
        return made

    return Suggestion(
        _key("points", [old.id, more]),
        text,
        why,
        f"criterion-{old.id}",
        _TABS[old.group],
        done,
        change,
        mark.honesty,
    )


_TABS = {"fit": "who", "behaviour": "behaviour", "value": "value"}


def _new_rule(mark: Mark, document: Document, drafted: bool, why: str) -> Suggestion:
    points = FIRST_POINTS if mark.for_good else -FIRST_POINTS
    done = drafted and any(one.condition == mark.condition for one in document.criteria)

    def change(content: Content) -> dict[str, Json]:
        made = copy.deepcopy(dict(content))
        made["criteria"] = [*made["criteria"], _raw_rule(mark, points, why, _fresh_id(made, mark.group))]
        return made

    return Suggestion(
        _key("rule", mark.condition),
        f"New: {mark.text[:1].lower()}{mark.text[1:]}, {_signed(points)}",
        why,
        f"criterion-{_fresh_id(document.content, mark.group)}",
        _TABS[mark.group],
        done,
        change,
        mark.honesty,
    )


def _raw_rule(mark: Mark, points: int, why: str, key: str) -> dict[str, Json]:
    return {
        "id": key,
        "group": mark.group,
        "mode": "once",
        "points": points,
        "condition": mark.condition,
        "decay": None,
        "max_points": None,
        "max_per_day": None,
        "bands": None,
        "of": None,
        "text": mark.text[:200],
        "why": why,
        "on": True,
    }


def _fresh_id(content: Content, group: str) -> str:
    used = {str(raw.get("id")) for raw in content.get("criteria") or []}
    assert group in GROUPS
    return next(key for n in range(1, len(used) + 2) if (key := f"{group[0]}{n}") not in used)


def _same_rule(condition: Json, document: Document) -> Criterion | None:
    """The active criterion that asks for the same, whatever its window or number of times."""
    wanted = _core(condition)
    return next(
        (
            one
            for one in document.active_criteria
            if one.mode != "bands" and one.points and one.condition and _core(one.condition) == wanted
        ),
        None,
    )


def _core(condition: Json) -> Json:
    """A leaf without its window and counts, for comparing; anything else as it is."""
    did = condition.get("did")
    if not isinstance(did, Mapping):
        value = condition.get("value")
        return {**condition, "value": value if isinstance(value, list) else [value]}
    return [sorted(did.get("kinds") or []), did.get("where") or []]


def _at_least(points: int, wanted: int, old: int) -> bool:
    """Whether the draft went as far as suggested, in the direction from the old points to the wanted."""
    return points >= wanted if wanted > old else points <= wanted


def _signed(points: int) -> str:
    return f"+{points}" if points > 0 else f"−{-points}" if points else "0"


# The bar for sales ------------------------------------------------------------------------------------


def bar_of(condition: Json) -> int | None:
    """The total that the bar for sales asks for, where it stands alone or in an "all"; else None."""
    leaf = _total_leaf(condition)
    return int(leaf["value"]) if leaf else None


def _total_leaf(condition: Json) -> Json:
    if not isinstance(condition, Mapping):
        return None
    leaves = condition["all"] if isinstance(condition.get("all"), list) else [condition]
    found = (one for one in leaves if isinstance(one, Mapping) and one.get("score") == "total")
    return next((one for one in found if one.get("op") == "gte"), None)


def with_bar(content: Content, bar: int) -> dict[str, Json]:
    """A copy of the content in which the bar for sales asks for this total."""
    made = copy.deepcopy(dict(content))
    leaf = _total_leaf(made["thresholds"]["sql_when"])
    if leaf is not None:
        leaf["value"] = bar
    return made


def _bar(
    comparison: Comparison, base: Agreement, before: Document, after: Document | None
) -> list[Suggestion]:
    """Another bar, if by it the score says the same as both sides clearly more often."""
    now = bar_of(before.thresholds.sales_when)
    judged = [*comparison.good, *comparison.bad]
    if now is None or len(judged) < BAR_CARDS:
        return []
    tried = _ready_by_bar(comparison, base, before)
    good = {one.card.pk for one in comparison.good}

    def right(bar: int) -> int:
        return sum(tried[one.card.pk](bar) == (one.card.pk in good) for one in judged)

    reach = range(max(before.total.floor + 1, now - BAR_REACH), min(before.total.cap, now + BAR_REACH) + 1)
    best = max(reach, key=lambda bar: (right(bar), -abs(bar - now), -bar))
    if right(best) < right(now) + BAR_GAIN:
        return []
    return [
        Suggestion(
            _key("bar", best),
            f"The bar for sales: {now} → {best} points",
            f"the score then says the same as both of you on {right(best)} of {len(judged)} instead of "
            f"{right(now)}",
            "bars-all",
            "thresholds",
            after is not None and bar_of(after.thresholds.sales_when) == best,
            lambda content: with_bar(content, best),
        )
    ]


def _ready_by_bar(
    comparison: Comparison, base: Agreement, before: Document
) -> dict[int, Callable[[int], bool]]:
    """By card: whether it would be ready by a bar. Two queries: the scores, and the rest of the bar."""
    program = applied.of(base).program
    args = subjects([one.card for one in [*comparison.good, *comparison.bad]])
    rest = _rest(before.thresholds.sales_when)
    meets = {lead for (lead,) in rows.run(program.match(rest, "subjects"), args)} if rest else set(args[1])
    found = {}
    for row in rows.run(program.score("subjects", present=False), args):
        one = dict(zip(SCORE_COLUMNS, row, strict=False))
        found[one["key"]] = _ready(one, one["lead"] in meets)
    return found


def _ready(one: Mapping[str, Any], meets: bool) -> Callable[[int], bool]:
    total, track, out = one["total"], bool(one["track"]), bool(one["excluded"])
    return lambda bar: not out and (track or (meets and total >= bar))


def _rest(condition: Json) -> Json:
    """The bar without its total; None where nothing else is asked."""
    leaf = _total_leaf(condition)
    others = [one for one in condition.get("all") or [] if one is not leaf]
    return {"all": others} if others else None


# What sales must know -----------------------------------------------------------------------------------


def _to_know(comparison: Comparison, before: Document, after: Document | None) -> Iterator[Suggestion]:
    """What several people wanted to know and the agreement can ask for."""
    fields = {
        **dict(MUST_KNOW),
        **{f"custom.{f.key.removeprefix('custom.')}": f.label for f in before.fields},
    }
    seen = set()
    for wanted in comparison.wanted:
        if wanted.people < ASKED_BY:
            continue
        asked = set(words_of(wanted.text).split())
        for key, label in fields.items():
            names = _ASKED.get(key) or set(words_of(label).split())
            if key in before.must_know or key in seen or not asked & names:
                continue
            seen.add(key)
            yield _must_know(key, label, wanted.text, wanted.people, after)


def _must_know(key: str, label: str, text: str, people: int, after: Document | None) -> Suggestion:
    def change(content: Content) -> dict[str, Json]:
        made = copy.deepcopy(dict(content))
        made["must_know"] = [*(made.get("must_know") or []), key]
        return made

    return Suggestion(
        _key("know", key),
        f"Sales must know: {label.lower()}",
        f"{people} people wanted to know “{text}”",
        "must_know-all",
        "handoff",
        after is not None and key in after.must_know,
        change,
    )
