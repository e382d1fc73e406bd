"""How each criterion of the agreement does: whom it gave points, and what sales said of those leads."""

from typing import Any

from feedback.reports import journeys, keeping
from feedback.reports.base import FEW, Figure, Filters, Report, Table, in_hundred, part_of, share
from feedback.reports.cube import ALL, Counts, Cube, Dim, Measure, Relation
from feedback.reports.frame import SAME_AGE, chart_of, population
from feedback.reports.handovers import handed_over
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


def relation(filters: Filters) -> Relation:
    """One row per lead handed over and criterion that gave or took points, as they stood at the offer."""
    every = handed_over(filters)
    handed = every.text.replace("base AS (", "handed AS MATERIALIZED (")
    base = f"base AS (SELECT p.*, line.criterion, line.points FROM handed p {keeping.LINES})"  # noqa: S608 ours
    return Relation(f"{handed}, {base}", every.bound)


def _names(keys: Any) -> dict[str, str]:
    document = _document(None)
    return {c.id: c.text for c in document.criteria} if document else {}


MEASURES = {
    "leads": Measure("Leads to whom it gave points", "points > 0"),
    "accepted": Measure("Leads to whom it gave points, accepted", "points > 0 AND accepted_at IS NOT NULL"),
    "refused": Measure(
        "Leads to whom it gave points, rejected or returned",
        "points > 0 AND refused_at IS NOT NULL AND accepted_at IS NULL",
    ),
    "customer": Measure("Leads to whom it gave points, customers", "points > 0 AND customer_at IS NOT NULL"),
    "taken": Measure("Leads from whom it took points", "points < 0"),
    "points": Measure("Leads to whom it gave points", "points > 0", sums="points"),
}
CUBE = Cube(relation, MEASURES, {"criterion": Dim("Criterion", "criterion", _names)}, "handed over {words}")
# Of the period before only this is shown.
_BEFORE = Cube(relation, {"leads": MEASURES["leads"]}, CUBE.dims)
EVERYBODY = Cube(
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
    return (CUBE if "@" in cell else EVERYBODY).drill(cell, filters)


def words(cell: str, filters: Filters) -> str:
    """What a cell counts."""
    return (CUBE if "@" in cell else EVERYBODY).words(cell, filters)


def _document(number: int | None) -> Document | None:
    agreement = Agreement.objects.filter(number=number).first() if number else agreements.current()
    return Document(agreement.content) if agreement else None


def build(filters: Filters) -> Report:
    """Each criterion of the version, with what sales answered where it gave points and where not."""
    filters = journeys.marked(filters)
    every, now, was = (
        EVERYBODY.count(filters)[ALL],
        CUBE.count(filters, "criterion"),
        _BEFORE.count(filters.before, "criterion"),
    )
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
    keys = [*texts, *sorted({k for d, k in now if d} - set(texts))]
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
    shown = [key for key in keys if _answered(now["criterion", key]) >= FEW]
    shown.sort(key=lambda key: -(_rate(now["criterion", key]) or 0))
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
                        [_rate(now["criterion", key]) for key in shown[:20]],
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


def _answered(count: dict[str, int]) -> int:
    return count["accepted"] + count["refused"]


def _rate(count: dict[str, int]) -> float | None:
    return share(count["accepted"], _answered(count))


def _without(every: dict[str, int], count: dict[str, int]) -> dict[str, int]:
    return {measure: every[measure] - count[measure] for measure in every}


def finding(every: dict[str, int], count: dict[str, int]) -> tuple[str, str]:
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
    key: str, text: tuple[str, str] | None, every: dict[str, int], now: Counts, was: Counts
) -> list[Figure]:
    count, before = now["criterion", key], was["criterion", key]
    rest = _without(every, count)
    said, tone = finding(every, count)
    cells = {m: f"{m}@criterion={key}" if count[m] else "" for m in MEASURES}
    each = float(count["points"]) / count["leads"] if count["leads"] else None
    with_it, without = (
        part_of(count["accepted"], _answered(count), cells["accepted"]),
        part_of(rest["accepted"], _answered(rest)),
    )
    return [
        Figure(text[0] if text else f"{key} (not in this version)", small=key if text else ""),
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


def _say(every: dict[str, int], now: Counts, texts: dict[str, tuple[str, str]]) -> list[tuple[str, str]]:
    if not every["leads"]:
        return [("No lead was handed to sales in this period.", "")]
    found = {key: finding(every, now["criterion", key])[0] for key in texts}
    nobody = sum(1 for words in found.values() if words == "nobody had it")
    flat = [
        k for k, words in found.items() if words in ("makes no difference", "sales takes these less often")
    ]
    good = [k for k, words in found.items() if words == "sales takes these more often"]
    pieces: list[tuple[str, str]] = []
    if good:
        key = max(good, key=lambda k: (_rate(now["criterion", k]) or 0, k))
        count = now["criterion", key]
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
        pieces.append((f" {len(flat)} of {len(texts)} rules make no difference, or the wrong one.", ""))
    if nobody:
        pieces.append((f" {nobody} gave points to nobody.", ""))
    return pieces
