"""The page of one lead: where it stands, why, what happened, who it is, what sales said."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, FilteredRelation, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_datetime

from feedback import asking
from handoff import queue
from handoff.models import OPEN, Handoff, State
from leadflow import clock
from leadflow.accounts.models import User
from leadflow.accounts.templatetags.lf import day_text, duration_text
from leadflow.errors import BadInput, NotVisible
from leadflow.leads.models import Lead, Stage, StageChange
from leadflow.pages.curve import curve
from leadflow.pages.profile import acts_wanted, profile_rows
from leadflow.pages.story import first_page, story, what_moved
from scoring import history
from scoring.document import Document
from scoring.explanation import score_at
from scoring.models import Agreement, ScoreChange

PATH = (Stage.CONVERSION, Stage.PROSPECT, Stage.MQL, Stage.SALES_QUALIFIED, Stage.OPPORTUNITY, Stage.CUSTOMER)
BESIDE = (Stage.NURTURING, Stage.DISQUALIFIED, Stage.EXCLUDED)
CHANGES_DRAWN = 200
# How many changes are told point by point at once.
MOVES_SHOWN = 30
HOLD_PARTS = ("since", "until", "evidence", "reason_key", "closes")


@dataclass(frozen=True)
class Step:
    """One stage of the path: `look` is "done", "here" or empty."""

    label: str
    note: str
    look: str


def find_lead(pk: int) -> Lead:
    """The lead for its page. Raises NotVisible when it was erased or never was."""
    lead = (
        Lead.objects.select_related(
            "company", "owner", "score", "score__agreement", "first_campaign", "merged_into"
        )
        # At most one hold is open: it comes along instead of by a query of its own.
        .annotate(open_hold=FilteredRelation("holds", condition=Q(holds__ended_at=None)))
        .annotate(**{f"hold_{part}": F(f"open_hold__{part}") for part in HOLD_PARTS})
        .filter(pk=pk, erased_at=None)
        .first()
    )
    if lead is None:
        raise NotVisible("There is no such lead; it may have been erased.")
    return lead


def lead(request: HttpRequest, pk: int) -> HttpResponse:
    """The whole page."""
    assert isinstance(request.user, User)
    now = clock.now()
    row = find_lead(pk)
    if row.merged_into:
        return render(request, "pages/lead_merged.html", {"lead": row})
    score = getattr(row, "score", None)
    agreement = score.agreement if score else _agreement()
    document = Document(agreement.content) if agreement else None
    moves = list(StageChange.objects.filter(lead=row).order_by("at", "id"))
    changes = list(reversed(_changes(row)[:CHANGES_DRAWN]))
    handoffs = list(
        Handoff.objects.filter(lead=row).select_related("owner", "team").order_by("-first_offered_at")
    )
    current = next((one for one in handoffs if one.state in OPEN), None)
    told = story(row, moves=moves)
    items, more = first_page(told)
    bar = sales_bar(document.thresholds.sales_when) if document else None
    drawn = curve(changes, now, bar)
    facts = profile_rows(row, document)
    looked = history.look(request.user.pk, row.pk, now)
    explanation, since = history.explained(score, changes, looked) if score else (None, None)
    context = {
        "lead": row,
        "now": now,
        "path": path(row, moves, now),
        "curve": drawn,
        "causes": [(mark, what_moved(mark.change, told)) for mark in drawn.marks] if drawn else [],
        "curve_narrow": curve(changes, now, bar, narrow=True),
        "explanation": explanation,
        "since": since,
        "changes": len(changes),
        "items": items,
        "more": more,
        "rows": facts,
        "gaps": sum(1 for fact in facts if fact.gap) + acts_wanted(row, document),
        "acts_wanted": acts_wanted(row, document),
        "handoffs": handoffs,
        "reasons": {reason.key: reason.text for reason in document.reasons} if document else {},
        "current": current,
        "hold": _hold(row),
        **_desk(request.user, row, handoffs, now),
        "side": "",
    }
    return render(request, "pages/lead.html", context)


def sales_bar(condition: Any) -> int | None:
    """The total that the bar for sales asks for; None where it asks for none."""
    if isinstance(condition, dict):
        if condition.get("score") == "total" and condition.get("op") in ("gte", "gt"):
            return int(condition["value"])
        found = [sales_bar(part) for part in condition.get("all", [])]
        return max((bar for bar in found if bar is not None), default=None)
    return None


def _instant(request: HttpRequest, name: str) -> datetime | None:
    """The instant that the address names; None for what is none, or has no zone."""
    try:
        # A plus that was not escaped arrives as a blank.
        found = parse_datetime(request.GET.get(name, "").strip().replace(" ", "+"))
    except ValueError:
        return None
    return found if found and found.tzinfo and 1 < found.year < 9999 else None


def lead_story(request: HttpRequest, pk: int) -> HttpResponse:
    """More of what happened: `?before=` an instant, `?side=theirs|ours`."""
    row = find_lead(pk)
    before = _instant(request, "before")
    side = request.GET.get("side", "")
    items, more = first_page(story(row, before, side))
    template = "pages/_story_items.html" if before else "pages/_story.html"
    context = {"lead": row, "items": items, "side": side, "more": more}
    return render(request, template, context)


def lead_score(request: HttpRequest, pk: int) -> HttpResponse:
    """Why the score was what it was at `?at=`; `?known_at=now` asks what we would say today."""
    row = find_lead(pk)
    at = _instant(request, "at")
    if at is None:
        raise BadInput("Say for which instant: ?at=2026-11-24T09:12:00Z.")
    today = request.GET.get("known_at") == "now"
    explanation = score_at(row.pk, at, known_now=today)
    context = {"lead": row, "explanation": explanation, "at": at, "today": today}
    return render(request, "pages/_why.html", context)


def lead_moves(request: HttpRequest, pk: int) -> HttpResponse:
    """Every change of the score with what moved it, newest first: `?before=` goes further back."""
    row = find_lead(pk)
    found = _changes(row)
    if (before := _instant(request, "before")) is not None:
        found = found.filter(at__lt=before)
    # One more, for the oldest is told by what was before it.
    changes = list(reversed(found[: MOVES_SHOWN + 1]))
    told = history.moves(changes)
    context = {
        "lead": row,
        "moves": list(reversed(told)),
        "more": told[0].change.at if told and len(changes) > MOVES_SHOWN else None,
    }
    return render(request, "scoring/_moves_of_lead.html", context)


def _changes(row: Lead) -> QuerySet[ScoreChange]:
    """Newest first; the agreements without their long content."""
    found = ScoreChange.objects.filter(lead=row).select_related("agreement").defer("agreement__content")
    return found.order_by("-at", "-id")


def _hold(row: Lead) -> dict[str, Any] | None:
    """Why the lead is not offered although its score may say so; None when nothing holds it."""
    if row.hold_since is None:  # type: ignore[attr-defined]
        return None
    hold = {part: getattr(row, f"hold_{part}") for part in HOLD_PARTS}
    return hold | {"dated": hold["until"] is not None and hold["until"] > clock.now()}


def _agreement() -> Agreement | None:
    """The agreement in force, else the latest draft, in one query."""
    order = {"in_force": 0}
    rows = Agreement.objects.filter(state__in=["in_force", "draft", "proposed", "signed"])
    return min(rows, key=lambda one: (order.get(one.state, 1), -one.number), default=None)


def path(row: Lead, moves: list[StageChange], now: datetime) -> list[Step]:
    """The way through the stages: since when, how long, how often back."""
    first: dict[str, datetime] = {}
    spent: dict[str, float] = {}
    for move, following in zip(moves, [*moves[1:], None], strict=True):
        until = following.at if following else now
        first.setdefault(move.to_stage, move.at)
        spent[move.to_stage] = spent.get(move.to_stage, 0) + (until - move.at).total_seconds()
    present = row.stage
    order = [stage.value for stage in PATH]
    reached = max((order.index(stage) for stage in first if stage in order), default=0)
    steps = []
    for index, stage in enumerate(PATH):
        look = "here" if stage == present else "done" if index <= reached else ""
        steps.append(Step(stage.label, _note(stage, row, first, spent, stage == present), look))
    if present in BESIDE:
        label = Stage(present).label
        steps.append(Step(label, f"since {day_text(row.stage_since)}", "here"))
    return steps


def _note(stage: Stage, row: Lead, first: dict[str, datetime], spent: dict[str, float], here: bool) -> str:
    if stage not in first:
        return ""
    since = day_text(first[stage])
    days = int(spent[stage] // 86400)
    level = f"{row.get_level_display()}, " if here and stage == Stage.PROSPECT and row.level else ""
    return f"{level}{since}" + (f", {days} day{'s' if days != 1 else ''}" if days else "")


# An act can be taken back this long; a handoff that has just ended still stands on the page for it.
UNDO_SHOWN = timedelta(minutes=15)


def _desk(user: User, row: Lead, handoffs: list[Handoff], now: datetime) -> dict[str, Any]:
    """What the reader may do here with the handoff that runs, or has just ended, and where the lead is.

    `panel` for who may act on it, with what the forms offer; `note` for everybody else; `ask` when sales
    may ask marketing for the lead.
    """
    last = handoffs[0] if handoffs else None
    if last is not None and (last.state in OPEN or now - (last.closed_at or now) < UNDO_SHOWN):
        # One lead, read with its company already: no query for what the forms say.
        last.lead = row
        panel = queue.doing(user, last, now)
        if panel.acts:
            return {"panel": panel, "handoff": last, "single": True, **queue.choices(user, now)}
        if last.state in OPEN:
            return {"note": _held_by(last, now)}
    if not user.in_sales:
        return {}
    if row.stage == Stage.EXCLUDED:
        return {"note": "Left out: not a lead."}
    if row.stage == Stage.CUSTOMER:
        return {}
    return {"ask": True, "asked": asking.asked_for(row.pk)}


def _held_by(current: Handoff, now: datetime) -> str:
    who = current.owner.name if current.owner else "the pool"
    since = duration_text(now - current.first_offered_at)
    return f"With {who} for {since}" if current.state != State.OFFERED else f"Offered to {who} {since} ago"
