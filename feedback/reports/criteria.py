"""How each criterion of the agreement does: whom it gave points, and what sales said of those leads."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from django.db import connection

from feedback.reports import summed
from feedback.reports.base import FEW, Figure, Filters, Report, Table, in_hundred, part_of, share
from feedback.reports.cube import Cube, Dim, Listed, Measure, Relation, page_of_ids
from feedback.reports.frame import SAME_AGE, chart_of, population
from feedback.reports.handovers import handed_over
from feedback.reports.lines import Given, gave, given
from leadflow.charts import Series
from scoring import agreements
from scoring.document import Document
from scoring.models import Agreement

NAME = "criteria"
TITLE = "Criteria"
ASKS = "Which rules tell good leads from bad ones, and which give points to nobody or to everybody."
ICON = "list-check"
DAYS = 28
NEARLY_ALL = 0.85
# From so many points of a hundred on, sales takes leads with the rule clearly more often.
CLEAR = 10


def _names(keys: Any) -> dict[str, str]:
    document = _document(None)
    return {c.id: c.text for c in document.criteria} if document else {}


# What came of a lead handed over, as the sums by week part them.
KEYS = ("accepted", "refused", "customer")
TABLE = "feedback_handedweek"
# Up to so many leads behind a figure are read all at once.
FEW_LEADS = 1000
# Everybody handed over stands beside the rules.
EVERYBODY = ""
_HAD = f"{', '.join(f'{key}_at IS NOT NULL AS {key}' for key in KEYS)}"
_CUT = _HAD.replace("_at IS NOT NULL", "_at <= %(at)s IS TRUE")
# Of leads handed over once, those that are not as the sums have them: something was written about them since
# the mark, or a step came later than the instant of looking.
_LATE = "greatest(accepted_at, refused_at, customer_at) > %(at)s"
_STRAYS = """
    late AS MATERIALIZED (SELECT handoff_id FROM feedback_handoverkept WHERE {late}),
    stray AS MATERIALIZED (
        SELECT k.handoff_id, k.lead_id, k.accepted_at, k.refused_at, k.customer_at
        FROM feedback_handoverkept k WHERE k.alone AND NOT k.gone AND {inside} AND {asked}
          AND (k.lead_id = ANY(ARRAY(SELECT id FROM moved))
               OR k.handoff_id = ANY(ARRAY(SELECT handoff_id FROM late)))),"""
_OF_STRAYS = f"""
    UNION ALL SELECT -1, handoff_id, {_HAD} FROM stray
    UNION ALL SELECT 1, handoff_id, {_CUT} FROM stray WHERE lead_id NOT IN (SELECT id FROM moved)"""  # noqa: S608
# Measure → its words, and the leads that it counts of those to whom the rule gave points.
MEASURES = {
    "leads": ("Leads to whom it gave points", "gave"),
    "accepted": ("Leads to whom it gave points, accepted", "gave AND accepted_at IS NOT NULL"),
    "refused": (
        "Leads to whom it gave points, rejected or returned",
        "gave AND refused_at IS NOT NULL AND accepted_at IS NULL",
    ),
    "customer": ("Leads to whom it gave points, customers", "gave AND customer_at IS NOT NULL"),
    "taken": ("Leads from whom it took points", "took"),
    "points": ("Leads to whom it gave points", "gave"),
}

Counts = dict[str, dict[str, Any]]


def count(filters: Filters, *, came: bool = True) -> Counts:
    """By rule, and under EVERYBODY of all leads handed over: each of MEASURES; one statement.

    Without `came` only leads, points and whom the rule took points from are right: what came of them may be
    known later only.
    """
    counts: Counts = defaultdict(lambda: dict.fromkeys(MEASURES, 0) | {"points": Decimal(0)})
    for (accepted, refused, customer), one in _given(filters, _LATE if came else "false").items():
        parts = {
            "leads": True,
            "accepted": accepted,
            "refused": refused and not accepted,
            "customer": customer,
        }
        for rule, n in [(EVERYBODY, one.handoffs), *one.gave.items()]:
            for measure, holds in parts.items():
                counts[rule][measure] += n if holds else 0
        for rule, points in one.points.items():
            counts[rule]["points"] += points
        for rule, n in one.took.items():
            counts[rule]["taken"] += n
    return counts


def _given(filters: Filters, late: str) -> dict[tuple[bool, bool, bool], Given]:
    filters = summed.known(filters)
    every, sums = handed_over(filters), summed.sums(filters, TABLE, KEYS)
    if sums is None:
        part = f"part AS (SELECT 1 AS w, handoff_id, {_HAD} FROM base)"  # noqa: S608 ours
        return given(f"{every.text}, {part}", "part", KEYS, every.bound)
    inside = sums.inside.format(at="k.offered_at")
    strays = _STRAYS.format(late=late, inside=inside, asked=summed.holds(filters))
    part = f"""part AS (
        SELECT 1 AS w, handoff_id, {_HAD} FROM several
        UNION ALL SELECT 1, handoff_id, {_HAD} FROM single WHERE {sums.beside.format(at="offered_at")}
        {_OF_STRAYS})"""  # noqa: S608 ours
    bound = {**every.bound, **summed.values(filters), **sums.bound}
    return given(f"{every.text}, {strays} {part}", "part", KEYS, bound, sums.selects)


def _held(rows: str) -> str:
    """Leads handed over, with whether the rule bound as `cell_key` gave or took points."""
    return f"""SELECT p.*, {gave("cell_key", "p")} AS gave, {gave("cell_key", "p", took=True)} AS took
        FROM (SELECT h.*, v.places FROM {rows} h
              LEFT JOIN feedback_handoverlines v ON v.handoff_id = h.handoff_id) p"""  # noqa: S608 ours


class _Rules(Cube):
    """The leads behind a figure of one rule."""

    def _where(self, measure: str, dim: str, key: str) -> tuple[str, dict[str, str]]:
        return self.measures[measure].holds, {"cell_key": key}

    def listed(self, cell: str, filters: Filters, start: int, size: int) -> Listed:
        """A page of them: how many there are is counted from the sums, and read from where it begins."""
        if cell.startswith("before."):
            return self.listed(cell.removeprefix("before."), filters.before, start, size)
        measure, dim, key = self._read(cell)
        filters = summed.known(filters)
        total = count(filters)[key]["leads" if measure == "points" else measure]
        size = max(0, min(size, total - start))
        if total <= FEW_LEADS:
            # They would be looked for among all.
            return page_of_ids(self.drill(cell, filters), start, size) if size else ([], total)
        # The end is read from the end.
        last = start > total / 2
        way, skipped = ("ASC", total - start - size) if last else ("DESC", start)
        every, (where, bound) = handed_over(filters), self._where(measure, dim, key)
        order = f"ORDER BY lead_id {way} LIMIT"
        parts = (
            f"(SELECT lead_id FROM ({_held(part)}) r WHERE {where} {order} %(skipped)s + %(size)s)"  # noqa: S608
            for part in every.parts
        )
        with connection.cursor() as cursor:
            cursor.execute(
                f"WITH {every.text} SELECT lead_id FROM ({' UNION ALL '.join(parts)}) r"  # noqa: S608 ours
                f" {order} %(size)s OFFSET %(skipped)s",
                {**every.bound, **bound, "skipped": skipped, "size": size},
            )
            return sorted((row[0] for row in cursor.fetchall()), reverse=True), total


def _holders(filters: Filters) -> Relation:
    every = handed_over(filters)
    text = every.text.replace("base AS (", "handed AS (")
    return Relation(f"{text}, base AS ({_held('handed')})", every.bound)


CUBE = _Rules(
    _holders,
    {name: Measure(text, holds) for name, (text, holds) in MEASURES.items()},
    {"criterion": Dim("Criterion", "criterion", _names)},
    "handed over {words}",
)
_ALL = Cube(
    handed_over,
    {
        "leads": Measure("Leads handed over"),
        "accepted": Measure("Leads accepted", "accepted_at IS NOT NULL"),
        "refused": Measure("Leads rejected or returned", "refused_at IS NOT NULL AND accepted_at IS NULL"),
        "customer": Measure("Customers", "customer_at IS NOT NULL"),
    },
    {},
    "handed over {words}",
)


def drill(cell: str, filters: Filters) -> Any:
    """The leads behind a cell; those without a criterion in it are of everybody handed over."""
    return (CUBE if "@" in cell else _ALL).drill(cell, filters)


def listed(cell: str, filters: Filters, start: int, size: int) -> Listed:
    """A page of the leads behind a cell, and how many there are."""
    return (CUBE if "@" in cell else _ALL).listed(cell, filters, start, size)


def words(cell: str, filters: Filters) -> str:
    """What a cell counts."""
    return (CUBE if "@" in cell else _ALL).words(cell, filters)


def _document(number: int | None) -> Document | None:
    agreement = Agreement.objects.filter(number=number).first() if number else agreements.current()
    return Document(agreement.content) if agreement else None


def build(filters: Filters) -> Report:
    """Each criterion of the version, with what sales answered where it gave points and where not."""
    filters = summed.known(filters)
    now, was = count(filters), count(filters.before, came=False)
    every = now[EVERYBODY]
    document = _document(filters.version)
    texts = {c.id: (c.text, c.group) for c in document.active_criteria} if document else {}
    report = Report(
        NAME,
        TITLE,
        population(f"{every['leads']:,} leads handed to sales from {filters.words}, each once", filters),
        "Points are those that stood at the offer. Accepted: of the leads that sales answered. “With” are "
        "the leads to whom the rule gave points, “without” all others handed over. A rule that nearly "
        "everybody has, or that is no commoner among accepted leads, does not tell good from bad; what it "
        f"does for leads that were never handed over is on the agreement's what-if. {SAME_AGE}",
        _say(every, now, texts),
        filters,
        empty=not every["leads"],
    )
    keys = [*texts, *sorted(set(now) - {EVERYBODY, *texts})]
    rows = [_row(key, texts.get(key), every, now, was) for key in keys]
    rows.sort(key=lambda row: -(row[3].value if isinstance(row[3].value, int) else 0))
    heads = (
        "Group",
        "Finding",
        "Gave points to",
        "Of handed over",
        "Accepted with it",
        "Accepted without",
        "Customers",
        "Points each",
        "Took points from",
        "Gave points to, before",
    )
    report.tables = [Table("criteria", "By criterion", ("Criterion", *heads), rows)]
    shown = [key for key in keys if _answered(now[key]) >= FEW]
    shown.sort(key=lambda key: -(_rate(now[key]) or 0))
    if shown:
        report.charts = [
            chart_of(
                report,
                "criteria",
                "Of a hundred answered leads with this rule, sales accepted",
                "bars",
                [
                    Series(
                        "Accepted",
                        [_rate(now[key]) for key in shown[:20]],
                        "acc",
                        [report.link(f"accepted@criterion={key}") for key in shown[:20]],
                    )
                ],
                labels=[texts.get(key, (key, ""))[0] for key in shown[:20]],
                unit="%",
                top=100,
                size="tall",
                sub=f"rules with {FEW} answers or more",
            )
        ]
    return report


def _answered(count: dict[str, Any]) -> int:
    return int(count["accepted"] + count["refused"])


def _rate(count: dict[str, Any]) -> float | None:
    return share(count["accepted"], _answered(count))


def _without(every: dict[str, Any], count: dict[str, Any]) -> dict[str, Any]:
    return {measure: every[measure] - count[measure] for measure in ("leads", *KEYS)}


def finding(every: dict[str, Any], count: dict[str, Any]) -> tuple[str, str]:
    """What there is to say of a criterion: (words, tone)."""
    if not every["leads"]:
        return "", ""
    if not count["leads"] and not count["taken"]:
        return "nobody had it", "warm"
    if not count["leads"]:
        return "only takes points", ""
    if count["leads"] >= NEARLY_ALL * every["leads"] and every["leads"] >= FEW:
        return "nearly everybody has it", "warm"
    rest = _without(every, count)
    if min(_answered(count), _answered(rest)) < FEW:
        return "too few answers", ""
    gap = (_rate(count) or 0) - (_rate(rest) or 0)
    if gap >= CLEAR:
        return "sales takes these more often", ""
    return ("sales takes these less often", "hot") if gap <= -CLEAR else ("makes no difference", "warm")


def _row(
    key: str, text: tuple[str, str] | None, every: dict[str, Any], now: Counts, was: Counts
) -> list[Figure]:
    count, before = now[key], was[key]
    rest = _without(every, count)
    said, tone = finding(every, count)
    cells = {m: f"{m}@criterion={key}" if count[m] else "" for m in MEASURES}
    each = float(count["points"]) / count["leads"] if count["leads"] else None
    with_it, without = (
        part_of(count["accepted"], _answered(count), cells["accepted"]),
        part_of(rest["accepted"], _answered(rest)),
    )
    return [
        Figure(text[0] if text else f"{key} (not in this version)"),
        Figure(text[1] if text else ""),
        Figure(said, tone=tone),
        Figure(count["leads"], cell=cells["leads"]),
        part_of(count["leads"], every["leads"], cells["leads"]),
        with_it,
        without,
        Figure(count["customer"], cell=cells["customer"]),
        Figure(None if each is None else float(round(each, 1)), cell=cells["points"]),
        Figure(count["taken"], cell=cells["taken"]),
        Figure(before["leads"], cell=f"before.leads@criterion={key}" if before["leads"] else ""),
    ]


def _say(every: dict[str, Any], now: Counts, texts: dict[str, tuple[str, str]]) -> list[tuple[str, str]]:
    if not every["leads"]:
        return [("No lead was handed to sales in this period.", "")]
    found = {key: finding(every, now[key])[0] for key in texts}
    nobody = sum(1 for words in found.values() if words == "nobody had it")
    flat = [
        k for k, words in found.items() if words in ("makes no difference", "sales takes these less often")
    ]
    good = [k for k, words in found.items() if words == "sales takes these more often"]
    pieces: list[tuple[str, str]] = []
    if good:
        key = max(good, key=lambda k: (_rate(now[k]) or 0, k))
        count = now[key]
        rest = _without(every, count)
        pieces += [
            (f"“{texts[key][0]}” tells best: of {_answered(count):,} such leads, sales accepted ", ""),
            (f"{count['accepted']:,}", f"accepted@criterion={key}"),
            (
                f"; of the others {in_hundred(rest['accepted'], _answered(rest))}.",
                "",
            ),
        ]
    else:
        pieces.append((f"No rule stands out among {every['leads']:,} leads handed over.", ""))
    if flat:
        make = "makes" if len(flat) == 1 else "make"
        pieces.append((f" {len(flat)} of {len(texts)} rules {make} no difference, or the wrong one.", ""))
    if nobody:
        pieces.append((f" {nobody} gave points to nobody.", ""))
    return pieces
