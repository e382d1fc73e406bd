"""The spans between two steps of a lead's way: which leads have gone one, within how many days."""

from feedback.reports.weeks import WEEK, Weekly

# (key, words, from, to); a win without an opportunity of its own has both at one instant: that is no span.
SPANS = (
    ("mql", "Lead to MQL", "created_at", "mql_at", ">="),
    ("offered", "MQL to SQL offered", "mql_at", "offered_at", ">="),
    ("accepted", "Offered to accepted", "offered_at", "accepted_at", ">="),
    ("opportunity", "Accepted to opportunity", "accepted_at", "opportunity_at", ">="),
    ("customer", "Opportunity to customer", "opportunity_at", "customer_at", ">"),
    ("whole", "Lead to customer", "created_at", "customer_at", ">="),
)
LABELS = {key: words for key, words, *_ in SPANS}
# Ends of spans that an imported deal without a date makes.
_DEALS = ("opportunity", "customer", "whole")
# How a definition says it.
ROUNDED = "Each lead's days are rounded as shown: to a tenth below ten, to whole days from ten on."


def holds(key: str) -> str:
    """The condition over the cohort: a lead has gone this way, and its instants are known."""
    _, _, start, end, sign = next(span for span in SPANS if span[0] == key)
    dated = " AND NOT undated" if key in _DEALS else ""
    return f"{end} {sign} {start}{dated}"


def _seconds(key: str, start: str, end: str) -> str:
    # Not extract(): it reckons in decimals, which takes longer than all the rest.
    return f"CASE WHEN {holds(key)} THEN date_part('epoch', {end} - {start}) END"


_KEYS = ", ".join(f"'{key}'" for key in LABELS)
_SECONDS = ", ".join(_seconds(key, start, end) for key, _, start, end, _ in SPANS)


def gone(columns: str, leads: str) -> str:
    """A row for each span that a lead has gone: `columns` of the relation `leads`, span, tenths of a day."""
    return f"""
    SELECT {columns}, span, CASE WHEN seconds < 864000 THEN floor(seconds / 8640 + 0.5)
                                 ELSE 10 * floor(seconds / 86400 + 0.5) END::int AS tenths
    FROM (SELECT {columns}, unnest(ARRAY[{_KEYS}]) AS span, unnest(ARRAY[{_SECONDS}]) AS seconds
          FROM {leads}) went WHERE seconds IS NOT NULL"""  # noqa: S608 ours


_BY = "week, first_source, first_campaign_id, persona"
_LEADS = f"""(
    SELECT {WEEK.format(at="created_at")} AS week, first_source,
           coalesce(first_campaign_id, 0) AS first_campaign_id, persona, created_at, mql_at, offered_at,
           accepted_at, opportunity_at, customer_at, undated
    FROM feedback_leadjourney WHERE NOT gone AND {{which}}) leads"""  # noqa: S608 ours
WEEKS = Weekly(
    "feedback_spanweek",
    {
        "first_source": "text",
        "first_campaign_id": "bigint",
        "persona": "text",
        "span": "text",
        "tenths": "int",
    },
    {"n": "int"},
    f"SELECT {_BY}, span, tenths, count(*) AS n FROM ({gone(_BY, _LEADS)}) g GROUP BY {_BY}, span, tenths",  # noqa: S608 ours
)
