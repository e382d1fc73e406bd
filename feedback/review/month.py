"""One month as the review looks at it: four questions with what is known, and the figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Q

from feedback.customers import months
from feedback.models import ContentUse, Dispute, Question
from feedback.pulse import figures as pulse
from feedback.pulse.rounds import next_month
from feedback.questions import groups
from feedback.reports import counted, cracks, mutual
from feedback.reports.base import FEW, Filters, Report
from feedback.reports.said import points
from feedback.reports.summed import known
from feedback.reports.wasted import points_wasted
from leadflow import clock
from leadflow.accounts.models import Organisation
from leadflow.accounts.templatetags.lf import money
from leadflow.errors import NotVisible
from scoring import agreements
from scoring.document import Document
from scoring.models import Agreement

TOP = 3
NAMES_SHOWN = 8
TOPICS = {
    "lousy": "Which leads were lousy?",
    "won": "Which became customers, and why did we win?",
    "cracks": "Did anyone fall through the cracks?",
    "change": "What is changing?",
}


@dataclass(frozen=True)
class Known:
    """A figure of the month: name, unit ("%", "points", "money", "" for a count), whether more is better."""

    label: str
    unit: str = "%"
    more: bool = True


FIGURES = {
    "accepted": Known("Leads that sales accepted"),
    "answered": Known("Answered in time"),
    "first_touch": Known("First contact in time"),
    "leads": Known("Leads handed over", ""),
    "best": Known("Of them grade A"),
    "known": Known("With all that sales must know"),
    "customers": Known("New customers", ""),
    "revenue": Known("Revenue of new customers", "money"),
    "gap": Known("Gap, “worth my time”", "points"),
}


@dataclass(frozen=True)
class Item:
    """A line of the agenda: words, where they lead, what stands beside."""

    text: str
    href: str = ""
    small: str = ""


@dataclass(frozen=True)
class Part:
    """Lines under a small heading."""

    title: str
    items: Sequence[Item]


@dataclass(frozen=True)
class Topic:
    """One of the four questions with what is known about it. `report` brings a sentence with its links."""

    key: str
    title: str
    say: str = ""
    report: Report | None = None
    # The address of a sentence that comes by itself.
    later: str = ""
    parts: list[Part] = field(default_factory=list)


@dataclass(frozen=True)
class Agenda:
    """The month as both sides see it when they sit down."""

    currency: str
    topics: list[Topic]
    figures: dict[str, float | None]
    promises: list[tuple[mutual.Promise, mutual.Kept, mutual.Goal | None, bool]]
    # Of the oldest round of the pulse among those that are drawn; None before the first.
    first_asked: date | None


def read(text: str) -> date:
    """The month of an address such as "2026-10". Raises NotVisible for none, or one that has not begun."""
    try:
        found = date.fromisoformat(f"{text}-01")
    except ValueError:
        raise NotVisible("There is no such month. Write it as 2026-10.") from None
    if not found.year >= 2000 or found > clock.now().date():
        raise NotVisible("This month has not begun.")
    return found


def last_full() -> date:
    """The first day of the last month that is over."""
    today = clock.now().date()
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)


def filters_of(month: date, zone: str = "") -> Filters:
    """The whole of a month."""
    last = next_month(month) - timedelta(days=1)
    return known(Filters(month, last, clock.now(), zone or Organisation.get().tz))


def agenda(month: date, *, whole_page: bool = False) -> Agenda:
    """Everything that is known about a month; the number of statements does not grow with it.

    The check of the cracks takes its time: only with `whole_page` (on paper) it is made here, else the page
    asks for its sentence by itself.
    """
    org = Organisation.get()
    filters = filters_of(month, org.tz)
    said, customers = counted.count(filters), months.customers(filters)
    weeks, whole = mutual.by_week(filters)
    rounds = pulse.rounds()
    felt = next((one for one in rounds if one.round.month == month), None)
    known_ones = _agreements(filters)
    in_force = next((one for one in known_ones if one.state == Agreement.State.IN_FORCE), None)
    current = in_force or agreements.current()
    goals = mutual.promised(current) if current else {}
    return Agenda(
        org.currency,
        [
            _lousy(filters, said, current),
            _won(org.currency, customers),
            _cracks(filters, whole_page),
            _change(filters, felt, known_ones),
        ],
        _figures(said, whole, customers, felt),
        [
            (one, whole[one.key], goals.get(one.key), mutual.short(one, whole[one.key], goals, len(weeks)))
            for one in mutual.PROMISES
        ],
        rounds[-1].round.month if rounds else None,
    )


def figures(month: date) -> dict[str, float | None]:
    """The figures of a month by name."""
    filters = filters_of(month)
    felt = next((one for one in pulse.rounds() if one.round.month == month), None)
    whole = mutual.by_week(filters)[1]
    return _figures(counted.count(filters), whole, months.customers(filters), felt)


def _figures(
    said: counted.Answers, whole: mutual.Week, customers: Sequence[months.Customer], felt: pulse.Round | None
) -> dict[str, float | None]:
    gap = felt.total.lines[0].gap if felt and felt.total.shown else None
    return {
        "accepted": said.acceptance.rate,
        "answered": whole["acceptance"].value,
        "first_touch": whole["first_touch"].value,
        "leads": whole["leads"].value,
        "best": whole["best"].value,
        "known": whole["known"].value,
        "customers": len(customers),
        "revenue": float(sum(row.revenue for row in customers)),
        "gap": gap,
    }


def words(key: str, value: float | None, currency: str) -> str:
    """A figure as it stands on the page."""
    if value is None:
        return "–"
    unit = FIGURES[key].unit
    if unit == "money":
        return str(money(value, currency))
    if unit == "points":
        return f"{value:+.0f} points".replace("-", "−")
    return f"{value:.0f}%" if unit == "%" else f"{value:,.0f}"


# The four questions ------------------------------------------------------------------------------------


def _agreements(filters: Filters) -> list[Agreement]:
    """The one in force, and those that came into force in the period."""
    begun = Q(in_force_at__gte=filters.low, in_force_at__lt=filters.high)
    return list(Agreement.objects.filter(begun | Q(state=Agreement.State.IN_FORCE)).order_by("number"))


def _lousy(filters: Filters, said: counted.Answers, current: Agreement | None) -> Topic:
    texts = {reason.key: reason.text for reason in Document(current.content).reasons} if current else {}
    got = said.acceptance
    if not got.answered:
        return Topic("lousy", TOPICS["lousy"], "Sales answered no lead in this month.")
    low, high = got.interval
    few = f"; {got.answered} answers are too few to judge" if got.answered < FEW else ""
    sure = f"{got.rate:.0f}%, likely {low} to {high}%"
    say = f"Sales accepted {got.accepted:,} of {got.answered:,} leads ({sure}){few}."
    link = f"/feedback/?{urlencode(filters.query)}"
    reasons = [
        Item(
            texts.get(key, key or "no reason"),
            _leads("answers", filters, f"noes.{key}"),
            _times(said.noes(key)),
        )
        for key in said.reasons[:TOP]
    ]
    sources = [(said.of(key), key) for key in said.columns if said.of(key).answered >= FEW]
    worst = [
        Item(said.names[key], link, f"{one.accepted} of {one.answered} accepted")
        for one, key in sorted(sources, key=lambda pair: pair[0].rate or 0)[:TOP]
    ]
    wasted = [
        Item(
            one.text,
            f"/feedback/?{urlencode(filters.query | {'criterion': one.criterion})}",
            f"{one.points:.0f} points; {one.hint}".rstrip("; "),
        )
        for one in points_wasted(filters, said, texts, points(filters))[:TOP]
    ]
    return Topic(
        "lousy",
        TOPICS["lousy"],
        say,
        parts=_parts(
            ("Why not", reasons),
            ("Sources with the fewest accepted", worst),
            ("Points given to leads that were rejected", wasted),
            ("Objections that nobody has decided", _disputes()),
        ),
    )


def _disputes() -> list[Item]:
    waiting = Dispute.objects.filter(settled_at=None).select_related("handoff__lead", "by").order_by("due_at")
    return [
        Item(str(one.handoff.lead), "/feedback/?show=disputed", f"{one.by.name}: “{one.comment[:120]}”")
        for one in waiting[:NAMES_SHOWN]
    ]


def _won(currency: str, customers: Sequence[months.Customer]) -> Topic:
    if not customers:
        return Topic("won", TOPICS["won"], "Nobody became a customer in this month.")
    revenue = money(sum(row.revenue for row in customers), currency)
    many = "customer" if len(customers) == 1 else "customers"
    names = [
        Item(
            row.company or row.name or row.email,
            f"/feedback/customers/{row.lead_id}/",
            f"{money(row.revenue, currency)} · {row.source or 'no source'} · {row.rep or 'nobody'}",
        )
        for row in sorted(customers, key=lambda row: (-row.revenue, row.lead_id))[:NAMES_SHOWN]
    ]
    by = [
        Item(one.key or "none", "", f"{one.count} of {len(customers)}, {money(one.revenue, currency)}")
        for one in months.kept(customers, "source")[:TOP]
    ]
    personas = [
        Item(one.key or "no persona", "", f"{one.count} of {len(customers)}")
        for one in months.kept(customers, "persona")[:TOP]
    ]
    used = (
        ContentUse.objects.filter(lead__in=[row.lead_id for row in customers])
        .values("content", "content__title")
        .annotate(leads=Count("lead", distinct=True))
        .order_by("-leads", "content__title")[:TOP]
    )
    pieces = [
        Item(
            row["content__title"],
            f"/feedback/content/{row['content']}/",
            f"with {row['leads']} of {len(customers)}",
        )
        for row in used
    ]
    return Topic(
        "won",
        TOPICS["won"],
        f"{len(customers):,} {many}, {revenue}.",
        parts=_parts(
            ("Customers", names),
            ("They came by", by),
            ("They were", personas),
            ("What sales sent them", pieces),
        ),
    )


def _cracks(filters: Filters, now: bool) -> Topic:
    query = urlencode(filters.query)
    return Topic(
        "cracks",
        TOPICS["cracks"],
        report=cracks.build(filters) if now else None,
        later="" if now else f"/reports/cracks/headline/?{query}",
        parts=_parts(("All leads by place", [Item("Where every lead is", f"/reports/cracks/?{query}")])),
    )


def _change(filters: Filters, felt: pulse.Round | None, known_ones: Sequence[Agreement]) -> Topic:
    kinds = ("competitor", "objection", "change")
    most = groups.most_heard(filters, kinds, TOP)
    heard = [(Question.Kind(kind).label, most[kind]) for kind in kinds]
    parts = [
        (
            f"{label}s heard" if label != "Change in the market" else "Changes heard",
            [
                Item(f"“{text[:140]}”", f"/feedback/questions/{head}/", _times(times))
                for head, text, times in rows
            ],
        )
        for label, rows in heard
    ]
    opinions = pulse.opinions(felt.round) if felt else []
    parts.append(("What sales says without names", [Item(f"“{text}”") for text in opinions[:NAMES_SHOWN]]))
    begun = [one for one in known_ones if one.in_force_at and filters.low <= one.in_force_at < filters.high]
    parts.append(
        (
            "Agreements that came into force",
            [Item(f"v{one.number}", "/agreement/history/", one.note) for one in begun],
        )
    )
    return Topic(
        "change",
        TOPICS["change"],
        pulse.gap_words(felt.total) if felt else "Sales was not asked in this month.",
        parts=_parts(*parts),
    )


def _parts(*parts: tuple[str, Sequence[Item]]) -> list[Part]:
    return [Part(title, items) for title, items in parts if items]


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n:,} times"


def _leads(report: str, filters: Filters, cell: str) -> str:
    return f"/reports/{report}/leads/?{urlencode(filters.query | {'cell': cell})}"


def listed(reviews: Mapping[date, Any], first: date | None) -> list[tuple[date, Any]]:
    """The last months that can be looked at, the newest first, each with its review if there is one. `first`:
    of the pulse's first round, or of one as old as the list."""
    month, found = last_full(), []
    for _ in range(12):
        found.append((month, reviews.get(month)))
        month = (month - timedelta(days=1)).replace(day=1)
    return [row for row in found if row[1] or not first or row[0] >= first or row[0] == last_full()]
