"""Which content stands behind won deals: given to leads or read by them, and what came of it."""

from dataclasses import replace

from feedback.reports.base import Figure, Filters, Report, Table, organisation, part_of
from feedback.reports.cube import ALL, Counts, Cube, Dim, Measure, Relation
from feedback.reports.frame import SAME_AGE, chart_of, population, rows_of
from feedback.reports.handovers import came_by, narrowed, of_leads
from feedback.reports.once import once
from leadflow.charts import Series
from leadflow.leads.models import Content

NAME = "content"
TITLE = "Content"
ASKS = "Which content was in won deals, and which nobody uses."
ICON = "file-text"
DAYS = 56


# Of what is asked of the leads themselves: they are looked up in the order of their index, all at once.
_KNOWN = """
    known AS MATERIALIZED (
        SELECT l.id FROM leads_lead l WHERE l.id = ANY(ARRAY(SELECT lead_id FROM met m WHERE {handed}))
          AND {asked}),"""
# The same from their kept rows, which are narrower.
_KNOWN_KEPT = """
    known AS MATERIALIZED (
        SELECT l.lead_id AS id FROM feedback_leadjourney l
        WHERE l.lead_id = ANY(ARRAY(SELECT lead_id FROM met m WHERE {handed})) AND NOT l.gone AND {came_by}
          AND l.lead_id NOT IN (SELECT unnest(ARRAY(SELECT id FROM moved)))
        UNION ALL SELECT l.id FROM leads_lead l WHERE l.id IN (SELECT id FROM moved) AND {asked}),"""
_NOT_GONE = """m.lead_id NOT IN (SELECT unnest(ARRAY(
        SELECT id FROM leads_lead WHERE merged_into_id IS NOT NULL OR erased_at IS NOT NULL)))"""


def relation(filters: Filters, only: str = "true") -> Relation:
    """One row per piece of content and lead that got or read it in the period; `whole` has one per lead.

    `only` is a condition over `m.lead_id` and the relation `deal`.
    """
    handed = narrowed(filters, "m.lead_id")
    known, where = "", " AND ".join([_NOT_GONE, *handed.parts])
    if came := came_by(filters):
        known = (_KNOWN_KEPT if "mark" in handed.bound else _KNOWN).format(
            handed=" AND ".join(handed.parts) or "true",
            asked=" AND ".join(of_leads(filters)),
            came_by=" AND ".join(came),
        )
        where = "m.lead_id IN (SELECT id FROM known)"
    text = f"""{handed.text}
    deal AS MATERIALIZED (
        SELECT lead_id, at, kind = 'won' AS won, amount FROM leads_outcome
        WHERE kind IN ('opportunity', 'won') AND voided_at IS NULL AND replaced_by_id IS NULL
          AND at >= %(low)s AND at <= %(at)s),
    met AS MATERIALIZED (
        SELECT content_id, lead_id, min(at) AS met_at, bool_or(given) AS given,
               bool_or(NOT given) AS was_read FROM (
            SELECT content_id, lead_id, at, true AS given FROM feedback_contentuse
            WHERE at >= %(low)s AND at < %(high)s AND at <= %(at)s
            UNION ALL
            SELECT content_id, lead_id, occurred_at, false FROM leads_activity
            WHERE content_id IS NOT NULL AND lead_id IS NOT NULL
              AND occurred_at >= %(low)s AND occurred_at < %(high)s AND occurred_at <= %(at)s) m
        WHERE {only} GROUP BY content_id, lead_id), {known}
    base AS MATERIALIZED (
        SELECT m.lead_id, m.content_id AS content, m.given, m.was_read, count(d.at) > 0 AS opportunity,
               coalesce(bool_or(d.won), false) AS won,
               coalesce(sum(d.amount) FILTER (WHERE d.won), 0) AS revenue
        FROM met m LEFT JOIN deal d ON d.lead_id = m.lead_id AND d.at >= m.met_at
        WHERE {where} GROUP BY m.lead_id, m.content_id, m.given, m.was_read),
    each AS (
        SELECT lead_id, bool_or(given) AS given, bool_or(was_read) AS was_read,
               bool_or(opportunity) AS opportunity, bool_or(won) AS won,
               sum(revenue) FILTER (WHERE won) AS revenue
        FROM base GROUP BY lead_id)"""  # noqa: S608 the pieces are ours
    return Relation(text, handed.bound, whole="each")


@once
def _titles() -> dict[str, str]:
    return {str(pk): title for pk, title in Content.objects.values_list("pk", "title")}


CUBE = Cube(
    relation,
    {
        "leads": Measure("Leads that got or read content"),
        "given": Measure("Leads that sales or a track gave it to", "given"),
        "was_read": Measure("Leads that read it", "was_read"),
        "opportunity": Measure("Opportunities after it", "opportunity"),
        "won": Measure("Customers after it", "won"),
        "revenue": Measure("Customers after it", "won", sums="revenue"),
    },
    {"content": Dim("Content", "content", lambda keys: _titles())},
    "got or read from {words}",
)
drill, words, listed = CUBE.drill, CUBE.words, CUBE.listed
# Of the period before only the deals are shown.
_BEFORE = replace(
    CUBE.only("won"),
    relation=lambda filters: relation(filters, "m.lead_id IN (SELECT lead_id FROM deal WHERE won)"),
)


def build(filters: Filters) -> Report:
    """Each piece of content with its leads, won deals and the revenue it touched."""
    now, was = CUBE.count(filters, "content"), _BEFORE.count(filters.before, "content")
    total = now[ALL]
    unused = Content.objects.filter(active=True).exclude(pk__in=[int(k) for d, k in now if d and k]).count()
    report = Report(
        NAME,
        TITLE,
        population(f"{total['leads']:,} leads that got or read content from {filters.words}", filters),
        "Given: by a rep in a handoff or by a step of a track. Read: an activity that names the content. A "
        "won deal counts for each piece that its lead met before, so revenue touched adds up to more than "
        f"all revenue: it says where content was present, not what it earned. {SAME_AGE}",
        _say(now, was, unused),
        filters,
        empty=not total["leads"],
    )
    report.tables = [_table(now, was)]
    top = rows_of(CUBE, "content", now, by="won", top=12)
    report.charts = [
        chart_of(
            report,
            "content",
            "Won deals in which it was present",
            "bars",
            [
                Series(
                    filters.words,
                    [now["content", key]["won"] for key, _ in top],
                    "acc",
                    [report.link(f"won@content={key}") for key, _ in top],
                ),
                Series(
                    f"{filters.before.words}, same age",
                    [was["content", key]["won"] for key, _ in top],
                    "was",
                ),
            ],
            labels=[name for _, name in top],
        )
    ]
    return report


def _say(now: Counts, was: Counts, unused: int) -> list[tuple[str, str]]:
    total = now[ALL]
    if not total["leads"]:
        return [("No lead got or read any content in this period.", "")]
    rows = {key: row for (dim, key), row in now.items() if dim}
    best = max(rows, key=lambda key: (rows[key]["won"], rows[key]["leads"], key))
    found = f"{total['won']:,}" if total["won"] else "no"
    before = f"{was[ALL]['won']:,}" if was[ALL]["won"] else "in none"
    pieces = [
        ("Content was present in ", ""),
        (found, "won" if total["won"] else ""),
        (f" won deal{'' if total['won'] < 2 else 's'}, before {before}.", ""),
    ]
    if rows[best]["won"]:
        title = _titles().get(best, best)
        pieces += [
            (f" Most often “{title}”: ", ""),
            (f"{rows[best]['won']:,}", f"won@content={best}"),
            (".", ""),
        ]
    if unused:
        pieces.append(
            (f" {unused} pieces were met by nobody." if unused > 1 else " One piece was met by nobody.", "")
        )
    return pieces


def _table(now: Counts, was: Counts) -> Table:
    rows = []
    for key, name in rows_of(CUBE, "content", now):
        count, before = now["content", key], was["content", key]
        cells = {m: f"{m}@content={key}" if count[m] else "" for m in CUBE.measures}
        rows.append(
            [
                Figure(name),
                *(
                    Figure(count[m], cell=cells[m])
                    for m in ("leads", "given", "was_read", "opportunity", "won")
                ),
                part_of(count["won"], count["leads"], cells["won"]),
                Figure(float(count["revenue"]), f"{count['revenue']:,.0f}", cells["revenue"]),
                Figure(before["won"], cell=f"before.won@content={key}" if before["won"] else ""),
            ]
        )
    currency = organisation().currency
    heads = (
        "Leads",
        "Given",
        "Read",
        "Opportunities",
        "Won deals",
        "Won of leads",
        f"Revenue touched, {currency}",
        "Won before",
    )
    return Table("content", "By content", ("Content", *heads), rows)
