"""What the agreement says about an answer of sales: its reasons and its nurture tracks."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from handoff.models import Handoff
from leadflow.errors import BadInput, Fault
from scoring import agreements
from scoring.document import Document, Reason, Step, Track
from scoring.models import Agreement


def agreement_of(handoff: Handoff | None = None) -> tuple[int, Document]:
    """The agreement under which this handoff was opened; without one, that in force or the latest draft.

    Raises BadInput when there is no agreement at all.
    """
    if handoff is not None and handoff.agreement_id:
        sha = Agreement.objects.filter(pk=handoff.agreement_id).values_list("sha256", flat=True).first()
        if sha:
            return handoff.agreement_id, _of_version(handoff.agreement_id, sha)
    found = agreements.current()
    if found is None:
        raise BadInput("There is no agreement yet, so there are no reasons and no tracks.")
    return found.pk, Document(found.content)


@lru_cache(maxsize=16)
def _of_version(agreement_id: int, sha256: str) -> Document:
    """The text of a version that was proposed: it never changes again."""
    return Document(Agreement.objects.values_list("content", flat=True).get(pk=agreement_id))


def documents(agreement_ids: Iterable[int]) -> dict[int, Document]:
    """The texts of several agreements, in one query."""
    rows = Agreement.objects.filter(pk__in=set(agreement_ids)).values_list("pk", "content")
    return {pk: Document(content) for pk, content in rows}


def reason_of(handoff: Handoff, key: str) -> Reason:
    """The reason that an answer named, as the agreement of that handoff has it. BadInput if it has none."""
    # The handoff keeps the reasons under which it was offered.
    reason = Document(handoff.frozen).reason(key) or agreement_of(handoff)[1].reason(key)
    if reason is None:
        raise BadInput(
            "This reason is not in the agreement.", [Fault("reason_key", "Choose one of the reasons.")]
        )
    return reason


def track_named(document: Document, key: str) -> Track:
    """A track of the agreement. BadInput if it has none of that name."""
    track = document.track(key)
    if track is None:
        raise BadInput("This track is not in the agreement.", [Fault("track", "Choose one of the tracks.")])
    return track


def step_at(start: datetime, steps: Sequence[Step], number: int, document: Document) -> datetime | None:
    """When a step of a track is due; no sooner than sales' answer can be taken back. None after the last."""
    if number >= len(steps):
        return None
    return start + max(timedelta(days=steps[number].day), timedelta(minutes=document.undo_minutes))
