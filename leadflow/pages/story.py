"""What happened to a lead, told as one list: acts, changed facts, stages, sales' answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q

from handoff import corrections
from handoff.models import Transition
from leadflow.accounts.templatetags.lf import stage_name
from leadflow.leads.models import TAKEN_BACK, Activity, FactChange, Lead, StageChange
from scoring.models import ScoreChange

SHOWN = 30
# Read at once of each kind: enough for a page, and for the causes of most jumps of the score.
REACH = 150
CAUSE_WITHIN = timedelta(days=1)
FACT_ICON = "id-badge"
CAUSES = {
    "created": "A lead from here",
    "facts": "What we know of them changed",
    "company": "What we know of the company changed",
    "activity": "Something they did",
    "time": "Points fade with time",
    "merge": "Another record of the same person became part of it",
    "visitor": "A browser was found to be theirs",
    "hold date": "A waiting time was over; points had faded",
    "hold ended": "A waiting time was over; points had faded",
    "colleague": "A colleague became an MQL or ready for sales",
    "a deal was won": "A deal was won",
    "repair": "Their data were repaired",
    "rescore": "Every lead was scored again",
}

ICONS = {
    "page_view": "eye",
    "visit": "world",
    "form": "forms",
    "demo_requested": "forms",
    "email_sent": "mail",
    "email_opened": "mail-opened",
    "email_clicked": "click",
    "email_replied": "mail-forward",
    "email_bounced": "mail-off",
    "email_unsubscribed": "bell-off",
    "download_educational": "book",
    "download_buying": "file-text",
    "webinar_registered": "calendar-event",
    "webinar_attended": "presentation",
    "show_scan": "id-badge",
    "show_talk": "message",
    "trial_started": "rocket",
    "question": "message-question",
    "social_share": "share",
    "social_follow": "heart",
    "call": "phone",
    "meeting": "users",
    "message": "send",
}
RESULTS = {
    "talked": "talked",
    "meeting": "met",
    "voicemail": "left a voicemail",
    "no_answer": "no answer",
    "email": "by e-mail",
}
ACTS = {
    "open": ("bolt", "Offered to {after}"),
    "claim": ("user-check", "{actor} took it from the pool"),
    "accept": ("check", "{actor} accepted"),
    "reject": ("x", "{actor} rejected"),
    "touch": ("phone", "{actor} was in touch"),
    "log_contact": ("phone", "{actor} was in touch again"),
    "return": ("arrow-back-up", "{actor} gave it back to marketing"),
    "qualify": ("target-arrow", "{actor} opened an opportunity"),
    "win": ("trophy", "{actor} won"),
    "lose": ("circle-x", "{actor} lost it"),
    "outcome": ("trophy", "Outcome from another system"),
    "reassign": ("transfer", "Moved to {after}"),
    "snooze": ("player-pause", "{actor} put it off"),
    "wake": ("player-play", "Back from the pause"),
    "undo": ("arrow-back-up", "{actor} took the last act back"),
    "dispute": ("scale", "{actor} disputed the answer"),
    "settle": ("scale", "{actor} decided the dispute"),
    "withdraw": ("circle-minus", "Taken back from sales"),
}


@dataclass(frozen=True)
class Item:
    """One line of the story. `side`: "theirs" the lead did it, "ours" we did."""

    at: datetime
    icon: str
    text: str
    detail: str = ""
    side: str = "ours"
    sales: bool = False


def story(
    lead: Lead,
    before: datetime | None = None,
    side: str = "",
    moves: Sequence[StageChange] | None = None,
) -> list[Item]:
    """The newest items before an instant, newest first: more than a page shows, for `first_page`.

    Three queries, and one for the moves between stages unless the caller has them.
    """
    early = Q(occurred_at__lt=before) if before else Q()
    acts = Activity.objects.filter(early, lead=lead).select_related("kind", "content", "user", "campaign")
    if side == "theirs":
        acts = acts.filter(kind__own_act=True)
    elif side == "ours":
        acts = acts.filter(kind__own_act=False)
    items = [_act(act) for act in _told(acts.order_by("-occurred_at", "-id")[:REACH])]
    if side != "theirs":
        if moves is None:
            moves = list(StageChange.objects.filter(lead=lead).order_by("at", "id"))
        items += _answers(lead, before) + _moves(lead, moves, before) + _facts(lead, before)
    items.sort(key=lambda item: item.at, reverse=True)
    return items


def first_page(items: Sequence[Item]) -> tuple[list[Item], datetime | None]:
    """What to show at once, and the instant before which there is more (None: that was all).

    What happened at the very instant of the last one comes too: "earlier" asks for what was before it.
    """
    shown = list(items[:SHOWN])
    shown += [item for item in items[SHOWN:] if item.at == shown[-1].at]
    return shown, shown[-1].at if len(items) > len(shown) else None


def what_moved(change: ScoreChange, items: Sequence[Item]) -> str:
    """In words, what moved the score: the newest act of the lead, or fact, of the day before the scoring.

    A guess for the list under the curve; `scoring.history` tells it point by point.
    """
    if change.cause in CAUSES and change.cause not in ("facts", "company", "activity"):
        return CAUSES[change.cause]
    if change.cause.startswith("agreement"):
        return f"{change.cause.capitalize()} came into force"
    wanted = "facts" if change.cause in ("facts", "company") else "theirs"
    for item in items:
        if item.at > change.at or change.at - item.at > CAUSE_WITHIN:
            continue
        if item.side == "theirs" if wanted == "theirs" else item.icon == FACT_ICON:
            return item.text
    return CAUSES.get(change.cause, "Time passed, or a rule changed")


def _told(acts: Iterable[Activity]) -> list[Activity]:
    """Without the visit that was derived from a page view: the page view tells it already."""
    acts = list(acts)
    viewed = {act.occurred_at for act in acts if act.kind.key == "page_view"}
    return [act for act in acts if act.kind.key != "visit" or act.occurred_at not in viewed]


def _act(act: Activity) -> Item:
    told = act.properties
    name = act.content.title if act.content else told.get("title") or told.get("show") or ""
    text = act.kind.phrase[:1].upper() + act.kind.phrase[1:]
    if name:
        text = f"{text}: “{name}”"
    elif act.path:
        text = f"{text}: {act.path}"
    details = []
    if said := told.get("text") or told.get("note"):
        details.append(f"“{said}”")
    if subject := told.get("subject"):
        details.append(f"“{subject}”")
    if minutes := told.get("minutes"):
        details.append(f"{minutes} min")
    if act.result:
        details.append(RESULTS.get(act.result, act.result.replace("_", " ")))
    if act.user:
        details.append(act.user.name)
    if act.campaign:
        details.append(act.campaign.name)
    if told.get(TAKEN_BACK):
        details.insert(0, "taken back: it was noted by mistake")
    own = act.kind.own_act
    icon = ICONS.get(act.kind.key, "point" if own else "mail")
    return Item(
        act.occurred_at, icon, text, " · ".join(details), "theirs" if own else "ours", act.kind.contact
    )


def _moves(lead: Lead, moves: Sequence[StageChange], before: datetime | None) -> list[Item]:
    """Moves between stages; a lead has few, so that they need no limit of their own."""
    items = []
    for row in reversed(moves):
        if before and row.at >= before:
            continue
        if row.from_stage:
            text, detail = f"{stage_name(row.from_stage)} → {stage_name(row.to_stage)}", ""
            icon = "arrow-right"
        else:
            text, detail = "A lead from here", f"first source: {lead.first_source or 'not said'}"
            icon = "user-plus"
        items.append(Item(row.at, icon, text, detail))
    return items


def _facts(lead: Lead, before: datetime | None) -> list[Item]:
    whose = Q(lead=lead) | Q(company=lead.company_id) if lead.company_id else Q(lead=lead)
    rows = FactChange.objects.filter(whose).exclude(field="company")
    if before:
        rows = rows.filter(recorded_at__lt=before)
    items = []
    for row in rows.order_by("-recorded_at", "-id")[:REACH]:
        label = row.field.removeprefix("custom.").replace("_", " ")
        label = label[:1].upper() + label[1:]
        was = f"was: {row.old}" if row.old not in (None, "") else "was not known"
        items.append(
            Item(row.recorded_at, FACT_ICON, f"{label} changed", " · ".join(filter(None, [was, row.cause])))
        )
    return items


def _answers(lead: Lead, before: datetime | None) -> list[Item]:
    rows = Transition.objects.filter(handoff__lead=lead).select_related(
        "actor", "owner_after", "handoff__team"
    )
    if before:
        rows = rows.filter(at__lt=before)
    undone = Exists(Transition.objects.filter(undoes=OuterRef("pk")))
    rows = rows.annotate(corrected=corrections.beside_openings(), undone=undone)
    items = []
    for row in rows.order_by("-at", "-id")[:REACH]:
        items.append(_answer(row))
        told = corrections.of_rows(row.corrected or ())
        items += [_correction(one) for one in told if not before or one.known_at < before]
    return items


def _correction(row: corrections.Correction) -> Item:
    text, detail = corrections.words(row)
    return Item(row.known_at, "clock", text, detail, sales=True)


def _answer(row: Any) -> Item:
    icon, words = ACTS.get(row.action, ("point", row.action))
    team = row.handoff.team.name if row.handoff.team else "sales"
    text = words.format(
        actor=row.actor.name if row.actor else "LeadFlow",
        after=row.owner_after.name if row.owner_after else f"the pool of {team}",
    )
    details = [row.handoff.why_now] if row.action == "open" and row.handoff.why_now else []
    if row.action == "open" and row.handoff.route:
        details.append(row.handoff.route)
    if row.note:
        details.append(f"“{row.note}”")
    if row.undone:
        details.insert(0, "taken back")
    return Item(row.at, icon, text, " · ".join(details), "ours", sales=True)
