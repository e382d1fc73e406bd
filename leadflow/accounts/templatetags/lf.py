"""The template tags of the house: icons, grades, times, clocks, figures, lists."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.core.paginator import Page
from django.template import Context
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from leadflow import clock as house_clock
from leadflow.web import changed_query

register = template.Library()

SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "CHF": "CHF", "INR": "₹", "JPY": "¥"}
# Without a warn point of its own a promise counts as due soon in its last half hour.
DEFAULT_WARN = timedelta(minutes=30)
STAGES = {
    "visitor": "Visitor",
    "conversion": "Conversion",
    "prospect": "Prospect",
    "mql": "MQL",
    "sql": "SQL",
    "opportunity": "Opportunity",
    "customer": "Customer",
    "nurturing": "Nurturing",
    "disqualified": "Disqualified",
    "excluded": "Left out: not a lead",
    "merged": "Merged",
    "erased": "Erased",
}


# Icons and signs ------------------------------------------------------------------------


@register.simple_tag
def icon(name: str, extra: str = "", label: str = "") -> SafeString:
    """A Tabler outline icon from our sprite; `extra` are classes ("l" = 20 px), `label` speaks it."""
    href = f"{static('icons.svg')}#i-{name}"
    if label:
        return format_html(
            '<svg class="lf-ic {}" role="img" aria-label="{}"><use href="{}"/></svg>', extra, label, href
        )
    return format_html('<svg class="lf-ic {}" aria-hidden="true"><use href="{}"/></svg>', extra, href)


@register.simple_tag
def grade(value: str | None, extra: str = "") -> SafeString:
    """The grade as a sign, "A1" to "D4"; hue is the letter, fill the number. Unscored is a dash."""
    if not value:
        return format_html(
            '<span class="lf-grade g-none {}" title="Not scored yet"><span class="visually-hidden">'
            'not scored yet</span><span aria-hidden="true">–</span></span>',
            extra,
        )
    letter, number = value[0].lower(), value[1:]
    return format_html(
        '<span class="lf-grade g-{} g-{} {}" title="Grade {}">{}</span>', letter, number, extra, value, value
    )


@register.simple_tag
def stage(value: str) -> SafeString:
    """The stage as a tag, in the words of the page."""
    look = {"sql": "acc", "opportunity": "acc", "customer": "ok", "excluded": "out"}.get(value, "")
    return format_html('<span class="lf-tag {}">{}</span>', look, stage_name(value))


@register.filter
def stage_name(value: str) -> str:
    """The word on screen for a stage key."""
    return STAGES.get(str(value), str(value).replace("_", " "))


@register.filter
def initials(name: str) -> str:
    """Two letters for a round sign: "Mia Lindqvist" → "ML", "Admin" → "AD"."""
    words = str(name).split()
    if not words:
        return "?"
    return (words[0][0] + words[-1][0] if len(words) > 1 else words[0][:2]).upper()


# Times ----------------------------------------------------------------------------------


def _local(value: datetime) -> datetime:
    return timezone.localtime(value)


def day_text(value: datetime | date, today: date | None = None) -> str:
    """Writes "24 Nov", with the year where it is not this one."""
    day = _local(value).date() if isinstance(value, datetime) else value
    today = today or _local(house_clock.now()).date()
    return f"{day.day} {day:%b}" if day.year == today.year else f"{day.day} {day:%b %Y}"


def full_text(value: datetime) -> str:
    """Writes "Tue 24 Nov 2026, 09:12", in the reader's zone."""
    at = _local(value)
    return f"{at:%a} {at.day} {at:%b %Y, %H:%M}"


def duration_text(span: timedelta) -> str:
    """Writes "11 min", "1 h 42 min", "3 days"; always positive."""
    minutes = max(0, int(abs(span).total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days = hours // 24
    return f"{days} day{'s' if days != 1 else ''}"


def near_text(value: datetime, now: datetime) -> str:
    """An instant as people say it: "4 min ago", "09:08", "yesterday 18:40", "Mon 18:40", "20 Nov"."""
    at, here = _local(value), _local(now)
    gap = value - now
    if abs(gap) < timedelta(minutes=1):
        return "just now"
    if abs(gap) < timedelta(hours=1):
        words = duration_text(gap)
        return f"in {words}" if gap > timedelta(0) else f"{words} ago"
    days = (at.date() - here.date()).days
    hour = f"{at:%H:%M}"
    if days == 0:
        return f"today {hour}"
    if days == 1:
        return f"tomorrow {hour}"
    if days == -1:
        return f"yesterday {hour}"
    if -7 < days < 7:
        return f"{at:%a} {hour}"
    return day_text(value, here.date())


@register.simple_tag
def ago(value: datetime | None, empty: str = "–") -> SafeString | str:
    """An instant in the reader's zone as a `<time>` with the full date as a hint."""
    if value is None:
        return empty
    now = house_clock.now()
    return format_html(
        '<time datetime="{}" title="{}"{}>{}</time>',
        value.isoformat(timespec="seconds"),
        full_text(value),
        SafeString(" data-ago") if timedelta(0) <= now - value < timedelta(hours=1) else "",
        near_text(value, now),
    )


@register.filter
def day(value: datetime | date | None) -> str:
    """Writes "24 Nov" (with the year when it is another one)."""
    return day_text(value) if value else "–"


@register.filter
def daytime(value: datetime | None) -> str:
    """Writes "Tue 24 Nov 2026, 09:12" in the reader's zone."""
    return full_text(value) if value else "–"


@register.filter
def hour(value: datetime | None) -> str:
    """Writes "09:12" in the reader's zone."""
    return f"{_local(value):%H:%M}" if value else "–"


@register.filter
def lasted(value: timedelta | None) -> str:
    """A length of time in words: "1 h 42 min"."""
    return duration_text(value) if value is not None else "–"


def due_text(due: datetime, now: datetime) -> tuple[str, str]:
    """(words, words while more than two hours are left): "11 min left", "1 h 18 min", "by 14:00"."""
    here, at = _local(now), _local(due)
    days = (at.date() - here.date()).days
    far = f"by {at:%H:%M}" if days == 0 else f"{at:%a %H:%M}" if 0 < days < 7 else day_text(due)
    left = due - now
    if left <= timedelta(0):
        return f"{duration_text(left)} late", far
    if left < timedelta(hours=1):
        return f"{max(1, int(left.total_seconds() // 60))} min left", far
    if left < timedelta(hours=2):
        return duration_text(left), far
    return far, far


@register.simple_tag
def clock(
    due: datetime | None,
    warn: datetime | None = None,
    sign: str = "clock",
    pill: bool = True,
    now: datetime | None = None,
    words: bool = False,
) -> SafeString | str:
    """A running promise. Server text now, kept fresh in the page from `data-due` and the server's time.

    `warn` is the instant from which it counts as soon; `sign` the icon ("bolt" on a fast track, "phone");
    `words` drops the icon and the pill (the large text of the panel).
    """
    if due is None:
        return ""
    now = now or house_clock.now()
    warn = warn or due - DEFAULT_WARN
    text, far = due_text(due, now)
    state = "late" if due <= now else "soon" if warn <= now else ""
    svg = "" if words else icon("alert-triangle" if state == "late" else sign)
    return format_html(
        '<span class="lf-clock {} {}" data-due="{}" data-warn="{}" data-far="{}" title="{}">{}'
        "<span data-words>{}</span></span>",
        "words" if words else "pill" if pill else "",
        state,
        due.isoformat(timespec="seconds"),
        warn.isoformat(timespec="seconds"),
        far,
        full_text(due),
        svg,
        text,
    )


# Figures --------------------------------------------------------------------------------


@register.filter
def num(value: Any) -> str:
    """Writes "5,038"; a dash for nothing known."""
    if value is None or value == "":
        return "–"
    if isinstance(value, (float, Decimal)) and value != int(value):
        return f"{value:,.2f}".replace("-", "−")
    return f"{int(value):,}".replace("-", "−")


@register.filter
def signed(value: int | float | Decimal | None) -> str:
    """Points: "+15", "−3", "0"."""
    if value is None:
        return "–"
    text = num(abs(value))
    return f"+{text}" if value > 0 else f"−{text}" if value < 0 else "0"


@register.filter
def money(value: float | Decimal | None, currency: str = "EUR") -> str:
    """Writes "38,400 €"; cents only where there are some."""
    if value is None:
        return "–"
    return f"{num(value)} {SYMBOLS.get(currency, currency)}"


@register.simple_tag
def pct(part: float | None, whole: float | None, digits: int = 0) -> str:
    """Writes "89%"; a dash where the whole is nothing."""
    if not whole or part is None:
        return "–"
    return f"{100 * part / whole:.{digits}f}%"


@register.simple_tag
def plural(count: int, one: str, many: str = "") -> str:
    """Writes "1 lead", "14 leads": the figure and its word."""
    return f"{num(count)} {one if count == 1 else many or one + 's'}"


@register.filter
def get(mapping: Any, key: Any) -> Any:
    """A value of a mapping by a key that is itself a variable."""
    return mapping.get(key) if hasattr(mapping, "get") else None


@register.filter
def add_class(field: Any, css: str) -> SafeString:
    """A form field's widget with classes of ours, and its error tied to it for screen readers."""
    attrs = {"class": css}
    if field.errors:
        attrs |= {"class": f"{css} is-invalid", "aria-invalid": "true"}
    described = [f"{field.auto_id}-hint"] if field.help_text else []
    if field.errors:
        described.append(f"{field.auto_id}-error")
    if described:
        attrs["aria-describedby"] = " ".join(described)
    widget: SafeString = field.as_widget(attrs=attrs)
    return widget


@register.inclusion_tag("_field.html")
def field(bound: Any, hint: str = "", wide: bool = False) -> dict[str, Any]:
    """A whole form field: label, widget, hint, error in words."""
    kind = getattr(bound.field.widget, "input_type", "")
    widget = bound.field.widget.__class__.__name__
    return {
        "field": bound,
        "hint": hint or bound.help_text,
        "wide": wide,
        "check": kind == "checkbox" and widget == "CheckboxInput",
        "group": widget in ("CheckboxSelectMultiple", "RadioSelect"),
        "css": "form-select" if kind == "select" else "form-control",
    }


# Lists ----------------------------------------------------------------------------------


@register.simple_tag(takes_context=True)
def query(context: Context, **changes: Any) -> str:
    """`?…` of this page with keys changed (None drops one); the page number is always dropped."""
    changes.setdefault("page", None)
    return changed_query(context["request"].GET, changes)


@register.simple_tag(takes_context=True)
def sort_link(context: Context, key: str, label: str, first: str = "desc") -> SafeString:
    """A column's head that sorts; `first` is the direction of the first click."""
    present = context["request"].GET.get("sort") or context.get("sort") or ""
    down, up = f"-{key}", key
    wanted = (
        (down if first == "desc" else up) if present not in (down, up) else up if present == down else down
    )
    sign: SafeString | str = ""
    if present in (down, up):
        words = "sorted, largest first" if present == down else "sorted, smallest first"
        sign = icon("chevron-down" if present == down else "chevron-up", label=words)
    href = changed_query(context["request"].GET, {"sort": wanted, "page": None})
    return format_html('<a class="lf-sort" href="{}">{}{}</a>', href, label, sign)


@register.inclusion_tag("_pages.html", takes_context=True)
def paginate(context: Context, page: Page[Any], what: str = "") -> dict[str, Any]:
    """Links to the pages of a list, with "51 to 100 of 418 leads"."""
    numbers: Iterable[int | str] = page.paginator.get_elided_page_range(
        page.number, on_each_side=1, on_ends=1
    )
    links = [
        {
            "text": number,
            "href": changed_query(context["request"].GET, {"page": number})
            if isinstance(number, int)
            else "",
            "here": number == page.number,
        }
        for number in numbers
    ]
    step = {
        name: changed_query(context["request"].GET, {"page": number})
        for name, number in (
            ("before", page.previous_page_number() if page.has_previous() else None),
            ("after", page.next_page_number() if page.has_next() else None),
        )
        if number
    }
    if page.paginator.count == 1:
        what = {"people": "person"}.get(what, what.removesuffix("s"))
    return {"page": page, "links": links, "step": step, "what": what}


@register.simple_tag(takes_context=True)
def hidden_query(context: Context, *without: str) -> SafeString:
    """The present query as hidden inputs, for a GET form that must keep the other filters."""
    pairs = [
        (key, value)
        for key, values in context["request"].GET.lists()
        if key not in (*without, "page")
        for value in values
    ]
    return format_html_join("", '<input type="hidden" name="{}" value="{}">', pairs)


# Reasons ----------------------------------------------------------------------------------

GROUP_WORDS = (("fit", "Who they are"), ("behaviour", "What they do"), ("value", "Who is buying"))


def _read(thing: Any, key: str, default: Any = None) -> Any:
    """A part of an explanation, which is an object when fresh and JSON when frozen in a handoff."""
    return thing.get(key, default) if isinstance(thing, dict) else getattr(thing, key, default)


@register.inclusion_tag("_reasons.html")
def reasons(explanation: Any, note: str = "", lines: Any = None) -> dict[str, Any]:
    """Why this score: the lines by group, each group with its sum; they add up to the total.

    Takes scoring's Explanation, or what a handoff froze of it; `lines` where these are kept apart.
    """
    rows = lines if lines is not None else _read(explanation, "lines", [])
    sums = _read(explanation, "groups", None) or {}
    groups = [
        {
            "label": label,
            "points": _read(sums, key) if _read(sums, key) is not None else _read(explanation, key),
            "lines": [row for row in rows if _read(row, "group") == key],
        }
        for key, label in GROUP_WORDS
    ]
    known = {key for key, _ in GROUP_WORDS}
    rest = [row for row in rows if _read(row, "group") not in known]
    return {"groups": groups, "rest": rest, "total": _read(explanation, "total"), "note": note}


@register.filter
def points(value: Any) -> str:
    """Points of a line, also from frozen JSON where they are text: "+4.31"."""
    return signed(Decimal(str(value))) if value not in (None, "") else ""
