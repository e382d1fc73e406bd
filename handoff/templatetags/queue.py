"""Words of the queue: where a lead is from, what is promised, what they did."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from handoff import guards, notices
from handoff import queue as selectors
from handoff.models import Handoff, Promise
from leadflow.accounts.templatetags.lf import due_text, icon, num
from leadflow.leads.models import Activity, Company, Lead

register = template.Library()

PROMISED = {
    Promise.ACCEPTANCE: "Answer",
    Promise.FIRST_TOUCH: "First call",
    Promise.FOLLOW_UP: "Next attempt",
}


@register.filter
def stamp(row: Handoff) -> str:
    """What the page remembers of a row, for the next poll."""
    return selectors.stamp(row)


@register.filter
def warn_at(row: Handoff) -> datetime | None:
    """From when the clock counts as soon."""
    return selectors.warn_at(row)


@register.filter
def sign(row: Handoff) -> str:
    """The icon of an answer's clock: a bolt on a fast track."""
    return "bolt" if row.kind == Handoff.Kind.FAST_TRACK else "clock"


@register.filter
def result(value: str) -> str:
    """The result of a contact in words."""
    return guards.RESULTS.get(value, "Contact")


@register.filter
def phrase(act: Activity) -> str:
    """What a lead did."""
    return selectors.phrase(act)


@register.filter
def tel(phone: str) -> str:
    """A phone number as a link takes it: digits and a leading plus."""
    digits = "".join(sign for sign in phone if sign.isdigit())
    return f"+{digits}" if phone.strip().startswith("+") else digits


@register.simple_tag
def where(lead: Lead, title: bool = False) -> SafeString:
    """Writes "Calder Foods · Leeds · 540 people", with the job title first where asked for."""
    company = lead.company
    parts = [lead.title] if title else []
    if company is not None:
        city = company.city or lead.city or company.country or lead.country
        parts += [company.name, city, f"{num(company.employees)} people" if company.employees else ""]
        parts += ["target account"] if company.is_target else []
    else:
        parts += [lead.city or lead.country, lead.email]
    return format_html_join(" · ", '<span class="nw">{}</span>', ((part,) for part in parts if part))


@register.simple_tag
def company_words(company: Company) -> SafeString:
    """Writes "Rotterdam · 880 people · target account"."""
    parts = [company.city or company.country, f"{num(company.employees)} people" if company.employees else ""]
    parts += ["target account"] if company.is_target else []
    return format_html_join(" · ", '<span class="nw">{}</span>', ((part,) for part in parts if part))


@register.simple_tag
def next_words(at: datetime, now: datetime) -> str:
    """When something comes again: "today at 13:30", "tomorrow at 09:00", "on Mon 23 Nov at 09:00"."""
    there, here = timezone.localtime(at), timezone.localtime(now)
    days = (there.date() - here.date()).days
    day = {0: "today", 1: "tomorrow"}.get(days, f"on {there:%a} {there.day} {there:%b}")
    return f"{day} at {there:%H:%M}"


@register.simple_tag
def minutes(count: Any) -> str:
    """Minutes of working time in words: "15 minutes", "4 hours", "2 working days"."""
    try:
        n = int(count)
    except (TypeError, ValueError):
        return "time"
    for size, word in ((480, "working day"), (60, "hour"), (1, "minute")):
        if n >= size and n % size == 0:
            count = n // size
            return f"{count} {word}{'s' if count != 1 else ''}"
    return f"{n} minutes"


@register.simple_tag
def due_words(due: datetime, now: datetime, short: bool = False) -> str:
    """The time of day of a promise, always: "by 09:23", "by Wed 09:00"; `short` drops a day that the clock
    beside it tells."""
    at, here = timezone.localtime(due), timezone.localtime(now)
    if at.date() == here.date():
        return f"by {at:%H:%M}"
    if short and due > now:
        return "by"
    far = due_text(due, now)[1]
    return f"by {far}" if not far.startswith("by ") else far


@register.simple_tag
def why_parts(handoff: Handoff) -> tuple[str, str]:
    """Why now: what made the lead ready, and the rest of it."""
    first, _, rest = (handoff.why_now or "Ready to talk").partition(" · ")
    return first, rest[:1].upper() + rest[1:]


@register.simple_tag
def promise_words(handoff: Handoff) -> str:
    """What is promised by then."""
    return PROMISED.get(Promise(handoff.sla_promise), "Due") if handoff.sla_promise else "Due"


@register.simple_tag
def share(start: datetime, due: datetime, now: datetime) -> int:
    """How much of a promise's time is left, in percent."""
    whole = (due - start) / timedelta(seconds=1)
    return max(0, min(100, round((due - now) / timedelta(seconds=1) / whole * 100))) if whole > 0 else 0


@register.simple_tag
def crm_link(url: str, words: str = "Open in CRM") -> SafeString:
    """A link to the lead in the CRM; nothing where there is none, or one that is no web address."""
    if not notices.is_web(url):
        return SafeString("")
    return format_html(
        '<a class="nw" href="{}" target="_blank" rel="noopener noreferrer">{} {}</a>',
        url,
        words,
        icon("external-link"),
    )


@register.simple_tag
def now_plus(now: datetime, days: int) -> str:
    """A date as a date field takes it, so many days from now."""
    return (timezone.localtime(now).date() + timedelta(days=days)).isoformat()


@register.simple_tag
def agreement_note(handoff: Handoff) -> str:
    """Which agreement counted, and when: "agreement v4, at 09:08"."""
    number = handoff.frozen.get("agreement")
    at = timezone.localtime(handoff.first_offered_at)
    when = f"{at.day} {at:%b, %H:%M}"
    return f"agreement v{number}, {when}" if number else when


@register.inclusion_tag("handoff/_own_field.html")
def own_field(
    name: str,
    label: str,
    values: Mapping[str, str],
    faults: Mapping[str, str],
    kind: str = "text",
    required: bool = False,
    wide: bool = False,
) -> dict[str, Any]:
    """One field of the form for an own lead."""
    return {
        "name": name,
        "label": label,
        "value": values.get(name, ""),
        "fault": faults.get(name, ""),
        "kind": kind,
        "required": required,
        "wide": wide,
    }


@register.simple_tag
def promise_of(promise: str) -> str:
    """The name of a promise."""
    return PROMISED.get(Promise(promise), "Due") if promise else "Due"


@register.simple_tag
def kept_cell(share: Any, promise: str, rep_id: int, weeks: Any) -> SafeString:
    """A cell "95%, 21 of 22" that leads to the leads behind it; few cases are always named."""
    if not share.whole:
        return mark_safe('<td class="r">–</td>')
    href = (
        f"/reports/sla/leads/?cell=holder.{promise}.all.rep={rep_id}"
        f"&from={weeks.start.isoformat()}&to={weeks.end.isoformat()}"
    )
    return format_html(
        '<td class="r"><a href="{}">{}%</a><br><span class="s mute nw">{} of {}</span></td>',
        href,
        share.percent,
        share.part,
        share.whole,
    )


@register.filter
def first_name(name: str) -> str:
    """How colleagues call somebody: the first word of the name."""
    return name.split(" ")[0]


@register.simple_tag
def load_bar(row: Any) -> SafeString:
    """A rep's load against the room: late, due soon, later."""
    parts, x, width = [], 0.0, 200
    whole = max(row.seat.capacity, row.open_now, 1)
    for count, look in ((row.late, "c-late"), (row.soon, "c-soon"), (row.later, "c-soft")):
        if count:
            wide = max(3.0, width * count / whole - 1)
            parts.append((look, round(x, 1), round(max(0.0, min(wide, width - x)), 1)))
            x += wide + 1
    bars = format_html_join("", '<rect class="{}" x="{}" y="2" width="{}" height="14" rx="2"/>', parts)
    words = f"{row.late} late, {row.soon} due soon, {row.later} later; room for {row.seat.capacity}"
    return format_html(
        '<svg class="lf-load" viewBox="0 0 200 18" role="img" aria-label="{}">'
        '<rect class="c-none" x="0" y="2" width="200" height="14" rx="2"/>{}</svg>',
        words,
        bars,
    )
