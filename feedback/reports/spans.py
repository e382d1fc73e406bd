"""The spans between two steps of a lead's way: which leads have gone one, within how many days."""

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
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)


def holds(key: str) -> str:
    """The condition over the cohort: a lead has gone this way, and its instants are known."""
    _, _, start, end, sign = next(span for span in SPANS if span[0] == key)
    dated = " AND NOT undated" if key in _DEALS else ""
    return f"{end} {sign} {start}{dated}"


def quantiles(key: str) -> str:
    """The aggregate over the cohort: within how many days each of SHARES had gone this way."""
    _, _, start, end, _ = next(span for span in SPANS if span[0] == key)
    # Not extract(): it reckons in decimals, which takes longer than the sorting.
    return (
        f"percentile_cont(ARRAY[{', '.join(map(str, SHARES))}]) WITHIN GROUP"
        f" (ORDER BY date_part('epoch', {end} - {start}) / 86400) FILTER (WHERE {holds(key)})"
    )
