"""The tracks as marketing looks at them: what starts each, what its steps did, and who is on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet

from feedback import terms
from feedback.models import Enrolment, StepRun
from feedback.results import FINAL, LEFT_OUT, PARKED
from handoff.models import OPEN, Handoff
from leadflow.leads.models import Lead
from scoring import current as applied
from scoring.document import PLACES, Document, Step, Track
from scoring.models import Hold

LOOK_BACK = timedelta(days=90)
SHOWN = 4
STEP_WORDS = {
    "email": ("mail", "E-mail"),
    "webinar": ("calendar-event", "Webinar invitation"),
    "task": ("user-check", "Somebody does it"),
    "audience": ("users", "Audience"),
}


@dataclass(frozen=True)
class StepView:
    """A step with what came of it in 90 days."""

    step: Step
    icon: str
    kind: str
    done: int
    left_out: int


@dataclass(frozen=True)
class TrackView:
    """A track with who is on it now, and how it ended for others in 90 days."""

    track: Track
    starts: tuple[str, ...]
    active: int
    resting: int
    finished: int
    replied: int
    stopped: int
    steps: tuple[StepView, ...]


def overview(at: datetime) -> list[TrackView]:
    """Every track of the agreement in force, or of the draft before there is one; three queries."""
    now = applied.current()
    if now is None:
        return []
    document = now.program.document
    since = at - LOOK_BACK
    counts = {
        row["track"]: row
        for row in Enrolment.objects.values("track").annotate(
            active=Count("pk", filter=Q(ended_at=None, paused_at=None)),
            resting=Count("pk", filter=Q(ended_at=None, paused_at__isnull=False)),
            finished=Count("pk", filter=Q(ended_why="finished", ended_at__gt=since)),
            replied=Count("pk", filter=Q(ended_why="replied", ended_at__gt=since)),
            stopped=Count("pk", filter=Q(ended_why="stopped", ended_at__gt=since)),
        )
    }
    runs = {
        (row["enrolment__track"], row["step"]): row
        for row in StepRun.objects.filter(done_at__gt=since)
        .values("enrolment__track", "step")
        .annotate(all=Count("pk"), left=Count("pk", filter=Q(result__startswith=LEFT_OUT)))
    }
    return [_view(track, document, counts.get(track.key, {}), runs) for track in document.tracks]


def _view(track: Track, document: Document, counts: Any, runs: Any) -> TrackView:
    steps = []
    for number, step in enumerate(track.steps):
        icon, kind = STEP_WORDS.get(step.kind, ("point", step.kind))
        row = runs.get((track.key, number), {"all": 0, "left": 0})
        steps.append(StepView(step, icon, kind, row["all"] - row["left"], row["left"]))
    return TrackView(
        track=track,
        starts=tuple(starts(track, document)),
        active=counts.get("active", 0),
        resting=counts.get("resting", 0),
        finished=counts.get("finished", 0),
        replied=counts.get("replied", 0),
        stopped=counts.get("stopped", 0),
        steps=tuple(steps),
    )


def starts(track: Track, document: Document) -> list[str]:
    """What puts a lead on a track, in words."""
    words = [f"sales’ answer “{reason.text}”" for reason in document.reasons if reason.track == track.key]
    if track.start.places:
        places = " or ".join(PLACES.get(place, place) for place in track.start.places)
        names = {persona.key: persona.name for persona in document.personas}
        people = ", ".join(names.get(key, key) for key in track.start.personas)
        words.append(f"by itself for {places}{f' who are {people}' if people else ''}")
    return [*words, "by hand"]


@dataclass(frozen=True)
class OfLead:
    """What marketing does with one lead."""

    enrolment: Enrolment | None
    name: str
    next_step: str
    resting: bool
    parked: Hold | None
    # The latest steps that were done for it, on whatever track.
    done: tuple[StepRun, ...]
    # Sales has it, or it is closed: nothing starts here.
    busy: bool


def of_lead(lead: Lead, at: datetime) -> OfLead:
    """The track of a lead with what it got lately, and until when it is parked; five queries at most."""
    row = Enrolment.objects.filter(lead=lead, ended_at=None).first()
    words = enrolment_rows([row])[0][1] if row else ""
    runs = StepRun.objects.filter(enrolment__lead=lead, done_at__isnull=False)
    parked = Hold.objects.filter(lead=lead, ended_at=None, until__gt=at, reason_key=PARKED).first()
    with_sales = Handoff.objects.filter(lead=lead, state__in=OPEN).exists()
    return OfLead(
        enrolment=row,
        name=name_of(row.track) if row else "",
        next_step=words,
        resting=with_sales or bool(row and row.paused_at),
        parked=parked,
        done=tuple(runs.order_by("-done_at", "-pk")[:SHOWN]),
        busy=with_sales or lead.stage in FINAL,
    )


def name_of(key: str) -> str:
    """A track's name on screen."""
    now = applied.current()
    track = now.program.document.track(key) if now else None
    return track.name if track else key


def on_track(key: str) -> QuerySet[Enrolment]:
    """Who is on a track now, the next step first."""
    return (
        Enrolment.objects.filter(track=key, ended_at=None)
        .select_related("lead__company")
        .order_by("next_step_at", "pk")
    )


def enrolment_rows(rows: Sequence[Enrolment]) -> list[tuple[Enrolment, str]]:
    """Each with the words of its next step; one query."""
    documents = terms.documents(row.agreement_id for row in rows)
    found = []
    for row in rows:
        track = documents[row.agreement_id].track(row.track)
        steps = track.steps if track else ()
        number = row.step_no
        words = f"step {number + 1} of {len(steps)}: {steps[number].text}" if number < len(steps) else ""
        found.append((row, words))
    return found
