"""A report by mail each week: a row says who gets which report with which filters, and when next.

The letter and the next date are written in one transaction, and the letter's key names its date: a killed
worker sends nothing twice and leaves nothing out.
"""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from django.db import transaction

from feedback import reports
from feedback.models import WeeklyMail
from feedback.reports.base import Report, read_filters
from feedback.reports.once import asking_once
from leadflow import clock
from leadflow.accounts.models import User
from leadflow.accounts.telling import Word, tell
from leadflow.errors import BadInput, NotVisible

MONDAY, HOUR = 0, 7
# Of an address only what narrows the report stands in a mail; its days move on with the weeks.
KEPT = ("team", "source", "campaign", "persona", "version")
ROWS = 12


def query_of(query: Mapping[str, str]) -> str:
    """The filters of an address that a weekly mail keeps, in one order."""
    kept = {name: query[name].strip() for name in KEPT if query.get(name, "").strip()}
    first, last = query.get("from", ""), query.get("to", "")
    if first and last:
        kept["days"] = str((date.fromisoformat(last) - date.fromisoformat(first)).days + 1)
    return urlencode(kept)


def of(user: User, name: str, query: Mapping[str, str]) -> WeeklyMail | None:
    """The weekly mail of somebody for a report with these filters, if there is one."""
    return WeeklyMail.objects.filter(user_id=user.pk, report=name, query=query_of(query)[:500]).first()


@transaction.atomic
def toggle(user: User, name: str, query: Mapping[str, str]) -> bool:
    """Begin or end a weekly mail; whether it is on now."""
    # Two clicks at once are one after the other.
    User.objects.select_for_update().get(pk=user.pk)
    present = of(user, name, query)
    if present:
        present.delete()
        return False
    now = clock.now()
    WeeklyMail.objects.create(
        user_id=user.pk,
        report=name,
        query=query_of(query)[:500],
        weekday=MONDAY,
        next_at=next_after(now, user.zone),
        created_at=now,
    )
    return True


def next_after(at: datetime, zone: str, weekday: int = MONDAY) -> datetime:
    """The first Monday morning after `at` in the zone of the reader."""
    local = at.astimezone(ZoneInfo(zone))
    day = local.date() + timedelta(days=(weekday - local.weekday()) % 7)
    found = datetime.combine(day, time(HOUR), ZoneInfo(zone))
    return found if found > at else datetime.combine(day + timedelta(days=7), time(HOUR), ZoneInfo(zone))


def send(at: datetime) -> int:
    """Hand every mail that is due to the outbox, each once for its week; returns how many."""
    sent = 0
    while _send_one(at):
        sent += 1
    return sent


@transaction.atomic
def _send_one(at: datetime) -> bool:
    due = WeeklyMail.objects.filter(next_at__lte=at).order_by("next_at", "pk").select_related("user__team")
    row = due.select_for_update(skip_locked=True, of=("self",)).first()
    if row is None:
        return False
    if row.user.is_active:
        tell([_word(row, at)], at)
    # A house that stood still for a month sends one letter, not four.
    row.next_at = next_after(at, row.user.zone, row.weekday)
    row.save(update_fields=["next_at"])
    return True


def _word(row: WeeklyMail, at: datetime) -> Word:
    key = f"weekly:{row.pk}:{row.next_at:%Y-%m-%d}"
    try:
        with clock.use(at):
            report = _report(row, at)
    except (BadInput, NotVisible) as problem:
        text = f"Your weekly report cannot be made any more: {problem}"
        return Word(key, row.user_id, text[:300], f"/reports/{row.report}/", mail=True)
    url = f"/reports/{report.name}/?{urlencode(report.filters.query)}"
    said = "".join(words for words, _ in report.say)
    text = f"{report.title}, {report.filters.words}: {said}"
    return Word(key, row.user_id, text[:300], url, more=in_text(report), mail=True)


@asking_once()
def _report(row: WeeklyMail, at: datetime) -> Report:
    """The report up to yesterday, as many days as it was asked for."""
    query = dict(parse_qsl(row.query))
    module = reports.named(row.report)
    days = int(query.pop("days", "") or reports.days(row.report))
    zone = read_filters({}).zone
    last = at.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)
    query |= {"from": (last - timedelta(days=days - 1)).isoformat(), "to": last.isoformat()}
    report: Report = module.build(read_filters(query))
    return report


def in_text(report: Report) -> str:
    """A report as plain text: its sentence and the first table."""
    lines = ["".join(words for words, _ in report.say), "", f"Counted: {report.population}.", ""]
    for table in report.tables[:1]:
        lines.append(table.title)
        for row in [*table.rows[:ROWS], *([table.foot] if table.foot else [])]:
            heads = table.columns[1:]
            cells = [
                f"{head.lower()} {one.words}"
                for head, one in zip(heads, row[1:], strict=True)
                if one.words != "–"
            ]
            lines.append(f"· {row[0].words}: {', '.join(cells)}")
        if len(table.rows) > ROWS:
            lines.append(f"· and {len(table.rows) - ROWS} more")
    return "\n".join(lines)
