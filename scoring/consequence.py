"""What follows from a reason of sales, in one or two sentences made from its rules: they cannot go stale."""

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from scoring.conditions.explain import Words
from scoring.document import Document, Reason
from scoring.models import Agreement


def follows(
    reason: Reason, document: Document, words: Words | None = None, *, at: datetime | None = None
) -> str:
    """Where the lead goes, how long it waits and what brings it back; `at`: with the day until when.

    `words` knows what facts are called; without it their keys are told.
    """
    return " ".join(part for part in (_goes(reason, document), _returns(reason, document, words, at)) if part)


CLOSED_FOR_GOOD = "Closes the lead and proposes it for “not a lead”."


@lru_cache(maxsize=16)
def terms_of(agreement_id: int | None) -> Document:
    """The text of a version that was in force, as its handoffs keep to it; it never changes again."""
    if agreement_id is None:
        return Document({})
    content = Agreement.objects.filter(pk=agreement_id).values_list("content", flat=True).first()
    return Document(content or {})


def _goes(reason: Reason, document: Document) -> str:
    track = document.track(reason.track) if reason.track else None
    does = {
        "close": CLOSED_FOR_GOOD if reason.proposes_exclusion else "Closes the lead.",
        "repair": "Goes on marketing's repair list, due in two working days.",
        "process": "Marketing sorts it out: merges it or gives it to its owner.",
    }.get(reason.effect, "")
    if track is None:
        return does or ("" if reason.effect == "callback" else "Goes back to marketing.")
    told = [step.text for step in track.steps if step.kind != "audience"]
    steps = ", ".join(list(dict.fromkeys(told))[:3])
    more = f" ({steps})" if steps else ""
    return f"{does} Starts the track “{track.name}”{more}.".strip()


def _returns(reason: Reason, document: Document, words: Words | None, at: datetime | None) -> str:
    if reason.effect == "callback":
        return "Comes back to you on that day, whatever its points; you hear of it two weeks ahead."
    if reason.effect == "repair":
        return "Repaired, it comes back to you at once."
    back = reason.back
    if back.kind == "none":
        return (
            "Nothing brings it back by itself." if reason.closes else f"Waits{_until(reason, document, at)}."
        )
    what = {
        "criteria": f"with {_criteria(reason, document)}",
        "fields": f"when {_facts(reason, words)} changes",
        "colleague": _colleague(reason, words),
        "repair": "when it is repaired",
    }.get(back.kind, "with anything new they do")
    sooner = "" if reason.closes else "; at once if they ask for us themselves"
    return f"Comes back {what}{_until(reason, document, at)}{sooner}."


def _colleague(reason: Reason, words: Words | None) -> str:
    told = "when somebody else there becomes an MQL or ready for sales"
    return f"{told}, or {_facts(reason, words)} changes" if reason.back.keys else told


def _until(reason: Reason, document: Document, at: datetime | None) -> str:
    if not reason.wait_days:
        return ""
    if at is None:
        return f", not before {reason.wait_days} days have passed"
    day = (at + timedelta(days=reason.wait_days)).astimezone(ZoneInfo(document.zone))
    return f", not before {day.day} {day:%B}"


def _criteria(reason: Reason, document: Document) -> str:
    names = [found.text or key for key in reason.back.ids if (found := document.criterion(key))]
    told = [f"“{name.partition(' (')[0]}”" for name in names]
    if len(told) > 3:
        return f"{', '.join(told[:2])} or another of {len(told)} signs"
    return " or ".join(told) or "a sign that the agreement names"


def _facts(reason: Reason, words: Words | None) -> str:
    return " or ".join(
        words.fact(key) if words else key.removeprefix("custom.").replace("_", " ")
        for key in reason.back.keys
    )
