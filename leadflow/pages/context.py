"""What every page's frame needs: who, where, what waits. One query, and none for a fragment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import QuerySet, Value
from django.db.models.functions import JSONObject
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from feedback.models import Dispute, RepAnswer
from handoff import outbox
from handoff.models import Handoff, Notice
from handoff.queue import asked
from leadflow import clock
from leadflow.accounts.models import SALES, Organisation, Role, User
from leadflow.leads.models import Lead, Stage
from leadflow.paging import count_of
from scoring.models import Agreement

THEMES = (("auto", "Auto", "device-desktop"), ("light", "Light", "sun"), ("dark", "Dark", "moon"))


@dataclass(frozen=True)
class Place:
    """A place of the navigation: its first address part tells whether the reader is there."""

    key: str
    label: str
    icon: str
    href: str


HOME = Place("home", "Home", "home", "/")
BOARD = Place("board", "Team board", "layout-dashboard", "/queue/board/")
QUEUE = Place("queue", "Queue", "inbox", "/queue/")
MQLS = Place("mqls", "MQLs", "list-check", "/mqls/")
LEADS = Place("leads", "Leads", "users", "/leads/")
AGREEMENT = Place("agreement", "Agreement", "file-certificate", "/agreement/")
FEEDBACK = Place("feedback", "Feedback", "message-2", "/feedback/")
REPORTS = Place("reports", "Reports", "chart-bar", "/reports/")
REVIEW = Place("review", "Review", "presentation", "/review/")
SETTINGS = Place("settings", "Settings", "settings", "/settings/")

_MARKETING = (HOME, MQLS, LEADS, AGREEMENT, FEEDBACK, REPORTS, REVIEW, SETTINGS)
NAV: dict[str, tuple[Place, ...]] = {
    Role.MARKETER: _MARKETING,
    Role.MARKETING_MANAGER: _MARKETING,
    Role.REP: (HOME, QUEUE, LEADS, AGREEMENT, FEEDBACK, REPORTS, REVIEW),
    Role.SALES_MANAGER: (HOME, BOARD, QUEUE, LEADS, AGREEMENT, FEEDBACK, REPORTS, REVIEW, SETTINGS),
    Role.ADMIN: (HOME, BOARD, QUEUE, MQLS, LEADS, AGREEMENT, FEEDBACK, REPORTS, REVIEW, SETTINGS),
}
# What a thumb reaches on a phone; the rest stands under "More".
BOTTOM = ("home", "board", "queue", "mqls", "leads", "feedback")
BOTTOM_SLOTS = 4
# What waits is counted so far: a frame that counts 100,000 on every page makes every page wait.
MOST = 1_000
GOING = (
    Agreement.State.DRAFT,
    Agreement.State.PROPOSED,
    Agreement.State.SIGNED,
    Agreement.State.IN_FORCE,
)
# Before the first set-up there is no organisation yet.
EMPTY: dict[str, Any] = {
    "name": "",
    "currency": "EUR",
    "demo": False,
    "unread": 0,
    "queue": 0,
    "mqls": 0,
    "feedback": 0,
    "replies": 0,
    "agreements": [],
}


def frame(request: HttpRequest) -> dict[str, Any]:
    """The frame, worked out when a template first asks for it."""
    return {"frame": SimpleLazyObject(lambda: _frame(request))}


def _frame(request: HttpRequest) -> dict[str, Any]:
    user = getattr(request, "user", None)
    base = {
        "now": clock.now(),
        "zone": timezone.get_current_timezone_name(),
        "themes": THEMES,
        "mail_off": outbox.mail_is_off(),
    }
    if not isinstance(user, User) or not user.is_authenticated:
        return base | {"theme": "auto", "shortcuts": False, "nav": [], "bottom": [], "more": []}
    counts = _counts(user)
    agreements = _agreements(counts["agreements"])
    notes = {"mqls": counts["mqls"], "queue": counts["queue"], "feedback": counts["feedback"]}
    if agreements["open"]:
        notes["agreement"] = {"draft": "draft", "proposed": "to sign", "signed": "signed"}[agreements["open"]]
    places = NAV[user.role]
    here = max((place.href for place in places if request.path.startswith(place.href)), key=len)
    here = here if here != "/" or request.path == "/" else ""
    nav = [_item(place, here, notes) for place in places]
    bottom = [item for item in nav if item["key"] in BOTTOM][:BOTTOM_SLOTS]
    return base | {
        "theme": user.theme,
        "shortcuts": user.shortcuts,
        "nav": nav,
        "bottom": bottom,
        "more": [item for item in nav if item not in bottom],
        "unread": counts["unread"],
        "replies": counts["replies"],
        "org": {"name": counts["name"], "currency": counts["currency"], "demo": counts["demo"]},
        "agreement": agreements["in_force"],
        "agreement_url": "/agreement/" if agreements["in_force"] else "/agreement/sign/",
        "unsigned": agreements["in_force"] is None,
    }


def _item(place: Place, here: str, notes: dict[str, Any]) -> dict[str, Any]:
    note = notes.get(place.key) or ""
    return {
        "key": place.key,
        "label": place.label,
        "icon": place.icon,
        "href": place.href,
        "here": place.href == here,
        "note": _short(note) if isinstance(note, int) else note,
    }


def _short(number: int) -> str:
    return f"{MOST - 1}+" if number >= MOST else str(number)


def _counts(user: User) -> dict[str, Any]:
    if user.role in SALES:
        waiting = RepAnswer.objects.filter(to=user, seen_at=None)
        if user.role == Role.SALES_MANAGER:
            waiting_rows: QuerySet[Any] = Dispute.objects.filter(settled_at=None)
        else:
            waiting_rows = waiting
    else:
        waiting_rows = Dispute.objects.filter(settled_at=None)
    going = Agreement.objects.filter(state__in=GOING).order_by("number")
    row = (
        Organisation.objects.filter(pk=1)
        .annotate(
            unread=count_of(Notice.objects.filter(user=user, read_at=None)),
            queue=count_of(Handoff.objects.filter(asked(user))[:MOST]),
            mqls=Value(0)
            if user.role in SALES
            else count_of(Lead.objects.filter(stage=Stage.MQL, erased_at=None, merged_into=None)[:MOST]),
            feedback=count_of(waiting_rows),
            replies=count_of(RepAnswer.objects.filter(to=user, seen_at=None)),
            agreements=ArraySubquery(
                going.values(json=JSONObject(number="number", state="state", since="in_force_at"))
            ),
        )
        .values("name", "currency", "demo", "unread", "queue", "mqls", "feedback", "replies", "agreements")
        .first()
    )
    return dict(row) if row else EMPTY


def _agreements(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The agreement in force, and the state of the next one on its way."""
    in_force: dict[str, Any] | None = None
    coming = ""
    for row in rows:
        if row["state"] == Agreement.State.IN_FORCE:
            since = datetime.fromisoformat(row["since"]) if row["since"] else None
            in_force = {"number": row["number"], "since": timezone.localtime(since) if since else None}
        else:
            coming = row["state"]
    return {"in_force": in_force, "open": coming}
