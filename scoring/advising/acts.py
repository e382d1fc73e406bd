"""What a person does with a finding: puts its change into the draft, puts it away, takes it back."""

import copy
import re
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from leadflow import clock
from leadflow.accounts import audit
from leadflow.accounts.actors import Actor
from leadflow.errors import Conflict, Forbidden, NotVisible
from scoring import agreements
from scoring.models import AdvisorFinding, Agreement

Json = Any
_ID = re.compile(r"([a-z]+)(\d{1,9})")
_LETTERS = {"fit": "f", "behaviour": "b", "value": "v"}


def get(pk: int) -> AdvisorFinding:
    """One finding. Raises NotVisible."""
    found = AdvisorFinding.objects.select_related("agreement").filter(pk=pk).first()
    if found is None:
        raise NotVisible
    return found


def take(finding: AdvisorFinding, actor: Actor) -> Agreement:
    """Put the change that a finding suggests into the draft; without one, a draft of its version is made.

    Raises Conflict where there is nothing to change any more, Forbidden for who may not write.
    """
    if not finding.proposal:
        raise Conflict("There is nothing to put into a draft here: it is only something to look at.")
    with transaction.atomic():
        draft = agreements.draft() or agreements.create_draft(actor, based_on=finding.agreement)
        content = changed(draft.content, finding.proposal)
        return agreements.save_draft(
            draft, content, actor, draft.lock_version, what=words_of(draft.content, finding.proposal)
        )


def changed(content: Mapping[str, Json], proposal: Mapping[str, Json]) -> dict[str, Json]:
    """The content with the change made. Raises Conflict when its rule is not there as it was."""
    made = copy.deepcopy(dict(content))
    criteria = made.setdefault("criteria", [])
    if proposal["op"] == "add":
        if any(raw.get("condition") == proposal["condition"] for raw in criteria):
            raise Conflict("The draft has such a rule already.")
        criteria.append(_new(criteria, proposal))
        return made
    raw = _rule(criteria, proposal["criterion"])
    if raw is None:
        raise Conflict("The rule is not in the draft any more.")
    before = copy.deepcopy(raw)
    if proposal["op"] == "off":
        raw["on"] = False
    else:
        raw.update(proposal["set"])
    if raw == before:
        raise Conflict("The draft has this change already.")
    return made


def words_of(content: Mapping[str, Json], proposal: Mapping[str, Json]) -> str:
    """The change in words, for the trail of the draft and the button."""
    if proposal["op"] == "add":
        return f"advice: {proposal['text']}, {proposal['points']:+d}"[:200]
    raw = _rule(content.get("criteria") or [], proposal["criterion"])
    text = (raw or {}).get("text") or proposal["criterion"]
    if proposal["op"] == "off":
        return f"advice: “{text}” switched off"[:200]
    return f"advice: points of “{text}”"[:200]


def _rule(criteria: list[dict[str, Json]], key: str) -> dict[str, Json] | None:
    return next((raw for raw in criteria if raw.get("id") == key), None)


def _new(criteria: list[dict[str, Json]], proposal: Mapping[str, Json]) -> dict[str, Json]:
    letter = _LETTERS[proposal["group"]]
    numbers = [
        int(match[2])
        for raw in criteria
        if (match := _ID.fullmatch(str(raw.get("id")))) and match[1] == letter
    ]
    return {
        "id": f"{letter}{max(numbers, default=0) + 1}",
        "group": proposal["group"],
        "mode": "once",
        "points": proposal["points"],
        "condition": copy.deepcopy(proposal["condition"]),
        "decay": None,
        "max_points": None,
        "max_per_day": None,
        "bands": None,
        "of": None,
        "text": proposal["text"],
        "why": "From the advice on what became of decided leads.",
        "on": True,
    }


def dismiss(finding: AdvisorFinding, actor: Actor, *, away: bool = True) -> None:
    """Put a finding away, or take it back; it stays so while its rules stay as they are."""
    if not actor.has_role(*agreements.WRITERS):
        raise Forbidden("Marketers and managers of both sides look after the advice.")
    at = clock.now() if away else None
    with transaction.atomic():
        rows = AdvisorFinding.objects.filter(key=finding.key)
        rows.update(dismissed_at=at, dismissed_by=actor.user if away else None)
        verb = "finding.dismissed" if away else "finding.taken_back"
        audit.record(actor, verb, finding, after={"kind": finding.kind, "criterion": finding.criterion})
