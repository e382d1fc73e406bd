"""The first sources that leads came by, for every form that offers them."""

from django.db import connection

# Each source by one step through the index `lead_source`, however many leads came by it.
_SOURCES = """
    WITH RECURSIVE step AS (
        (SELECT min(first_source) AS source FROM leads_lead WHERE first_source > '')
        UNION ALL
        SELECT (SELECT min(first_source) FROM leads_lead WHERE first_source > step.source)
        FROM step WHERE step.source IS NOT NULL)
    SELECT source FROM step WHERE source IS NOT NULL"""


def sources() -> list[str]:
    """The first sources in order; one query, quick at any size."""
    with connection.cursor() as cursor:
        cursor.execute(_SOURCES)
        return sorted(row[0] for row in cursor.fetchall())
