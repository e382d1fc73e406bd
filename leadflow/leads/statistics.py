"""What the database knows of how its tables are filled. It looks by itself now and then; a first big import
and what follows it cannot wait for that: a range of leads planned as if the tables were empty crawls."""

from collections.abc import Sequence

from django.db import connection, transaction
from psycopg2.sql import SQL, Identifier

TABLES = ("leads_lead", "leads_leadkey", "leads_company", "leads_activity", "leads_factchange")
# Looked at again once so many rows, and so large a share of those known, are new or another.
ROWS, SHARE = 2_000, 0.5
# Never looked at, or much has changed since. What this transaction writes is not counted yet.
_STALE = """
    SELECT c.relname FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
    WHERE c.oid = ANY(%s::regclass[]) AND (c.reltuples < 0
        OR COALESCE(s.n_mod_since_analyze, 0) > GREATEST(%s, %s * c.reltuples))
    ORDER BY c.relname
"""


def refresh(tables: Sequence[str] = TABLES) -> list[str]:
    """Have the database look at those of these tables that it knows too little of; returns them.

    One small query where there is nothing to do. A table that another looks at meanwhile is passed over.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_STALE, [list(tables), ROWS, SHARE])
        stale = [row[0] for row in cursor.fetchall()]
        for name in stale:
            text = SQL("ANALYZE (SKIP_LOCKED) {}").format(Identifier(name))
            cursor.execute(text.as_string(cursor.connection))
    return stale
