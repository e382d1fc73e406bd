"""The agreed date: whose it is, and the word to the rep before it comes."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import CharField, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat

from handoff import outbox
from handoff.models import Handoff, Outbox
from leadflow.accounts.models import Role, User
from leadflow.leads.models import Stage
from scoring.models import Hold

# Two weeks ahead; where the wait is shorter, two days ahead.
NOTICE = timedelta(days=14)
SHORT_NOTICE = timedelta(days=2)
BATCH = 500


def coming(at: datetime) -> QuerySet[Hold]:
    """Agreed dates that come up and that nobody has been reminded of."""
    # Whoever is told, the key begins alike.
    told = Outbox.objects.filter(
        key=Concat(Value("callback-soon:"), Cast(OuterRef("pk"), CharField()), output_field=CharField())
    )
    soon = Q(until__lte=at + NOTICE, since__lt=F("until") - NOTICE)
    shortly = Q(
        until__lte=at + SHORT_NOTICE, since__lt=F("until") - SHORT_NOTICE, since__gte=F("until") - NOTICE
    )
    return (
        Hold.objects.filter(soon | shortly, ended_at=None, reopens_as=Handoff.Kind.CALLBACK, until__gt=at)
        .filter(lead__erased_at=None, lead__merged_into=None)
        .exclude(lead__stage=Stage.EXCLUDED)
        .filter(~Exists(told))
    )


def remind(at: datetime) -> int:
    """Tell the rep that an agreed date comes up; where the rep has left, the manager. Each date once."""
    rows = list(coming(at).select_related("lead__company").order_by("until", "pk")[:BATCH])
    if not rows:
        return 0
    before = {
        handoff.pk: handoff
        for handoff in Handoff.objects.filter(pk__in=[row.handoff_id for row in rows]).select_related(
            "owner__team", "team__manager__team"
        )
    }
    spare = _spare() if any(_hearer(before.get(row.handoff_id or 0)) is None for row in rows) else None
    letters = []
    for row in rows:
        handoff = before.get(row.handoff_id or 0)
        hearer = _hearer(handoff) or spare
        if hearer is not None:
            letters.append(_letter(row, hearer, handoff))
    outbox.put(letters, at)
    return len(letters)


def _hearer(handoff: Handoff | None) -> User | None:
    """The rep who agreed on the date; the team's manager where the rep is not there any more."""
    if handoff is None:
        return None
    manager = handoff.team.manager if handoff.team else None
    return next((one for one in (handoff.owner, manager) if one is not None and one.is_active), None)


def _spare() -> User | None:
    found = User.objects.filter(is_active=True, role__in=(Role.SALES_MANAGER, Role.ADMIN))
    return found.order_by("-role", "pk").first()


def _letter(row: Hold, hearer: User, handoff: Handoff | None) -> outbox.Letter:
    assert row.until is not None
    day = row.until.astimezone(ZoneInfo(hearer.zone))
    who = f"{row.lead} ({row.lead.company.name})" if row.lead.company else str(row.lead)
    text = f"Call {who} back on {day:%a} {day.day} {day:%b}, as agreed"
    more = (
        f"You wrote: “{handoff.note}”" if handoff and handoff.note and handoff.owner_id == hearer.pk else ""
    )
    url = f"/leads/{row.lead_id}/"
    # One letter for each date: its key is what says that it was told.
    return outbox.Letter(
        f"callback-soon:{row.pk}",
        "said",
        Outbox.Channel.BELL,
        hearer.pk,
        {"text": text, "url": url, "more": more, "lead": row.lead_id},
    )


def day_agreed(hold: Hold, zone: str) -> str:
    """The agreed day in words, in somebody's time zone: "15 September"."""
    assert hold.until is not None
    day = hold.until.astimezone(ZoneInfo(zone))
    return f"{day.day} {day:%B}"
