"""From a won deal to "this company is a customer": the only place where a win changes a company.

A win holds a handoff and then its lead. A company's change locks the company, then its leads. One
transaction that did both would lock a lead before its company, and two of them could wait for each other for
ever. So a win leaves a row of CustomerSignal (docs/adr/0008-a-win-tells-its-company.md), and this pass, which
begins with no lock on a lead, turns it into the company's change in the order of all such changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from leadflow import clock, nudge
from leadflow.accounts.actors import SYSTEM
from leadflow.leads import bulk
from leadflow.leads.intake import mark_changed
from leadflow.leads.models import CustomerSignal, Outcome
from leadflow.leads.taking import write_changes

# The outcomes that make or end a customer.
TELLING = (Outcome.Kind.WON, Outcome.Kind.CHURNED)
# What FactChange.cause says; "won" alone may be taken back by us: other words are somebody else's.
WON, GONE = "a deal was won", "a won deal was taken back or ended"
# A win older than this is history that was imported, not news: nobody is handed over because of it.
NEWS = timedelta(days=14)

# A deal that was won and holds: not taken back, not replaced, and its lead has not left us since.
_HOLDS = """
    SELECT l.company_id AS company, o.id AS outcome, o.at FROM leads_outcome o
    JOIN leads_lead l ON l.id = o.lead_id
    WHERE l.company_id = ANY(%s) AND o.kind = 'won' AND o.voided_at IS NULL AND o.replaced_by_id IS NULL
      AND NOT EXISTS (
        SELECT 1 FROM leads_outcome e WHERE e.lead_id = o.lead_id AND e.kind = 'churned'
          AND e.voided_at IS NULL AND e.replaced_by_id IS NULL AND (e.at, e.id) > (o.at, o.id))
"""


@dataclass(frozen=True)
class _Change:
    """One company: since when it is a customer now (None: it is none), and whether that is news."""

    company: int
    was: bool
    since: datetime | None
    quiet: bool


def tell(outcomes: Iterable[tuple[int, int, str]], at: datetime) -> None:
    """Note outcomes (lead, outcome, kind) that companies must hear of, in the transaction that wrote them."""
    rows = [
        CustomerSignal(lead_id=lead, outcome_id=outcome, recorded_at=at)
        for lead, outcome, kind in outcomes
        if kind in TELLING
    ]
    if rows:
        CustomerSignal.objects.bulk_create(rows)
        nudge.wake("flow.score")


def pull(at: datetime, limit: int = 500) -> int:
    """Let companies hear of waiting outcomes; returns how many rows were consumed.

    1. Claim rows with SKIP LOCKED and delete them; read the companies of their leads.
    2. Lock these companies in id order, then all their leads in id order, as every change of companies does.
    3. In fresh statements: look which deals hold, write companies, FactChange and LeadChanged. A lead that
       changed its company while we waited gets its row again.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        claimed = _claim(cursor, limit)
        if not claimed:
            return 0
        leads = sorted({lead for lead, _, _ in claimed})
        home = _companies_of(cursor, leads)
        present = _lock_companies(cursor, set(home.values()))
        members = _lock_members(cursor, present)
        now_home = _companies_of(cursor, leads)
        moved = {lead for lead in leads if now_home.get(lead) not in (None, home.get(lead))}
        _again([row for row in claimed if row[0] in moved])
        heard = [row for row in claimed if row[0] in now_home and row[0] not in moved]
        stamp = max(at, clock.now())
        changes = _changes(cursor, heard, now_home, present, stamp)
        _write(cursor, changes, stamp)
        for quiet in (False, True):
            told = {c.company for c in changes if c.quiet == quiet}
            ids = [lead for lead, company in members if company in told]
            if ids:
                mark_changed(ids, WON, at=stamp, quiet=quiet)
    return len(claimed)


def _claim(cursor: Any, limit: int) -> list[tuple[int, int, datetime]]:
    cursor.execute(
        "DELETE FROM leads_customersignal WHERE id = ANY(ARRAY("
        "SELECT id FROM leads_customersignal ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))"
        " RETURNING lead_id, outcome_id, recorded_at",
        [limit],
    )
    return list(cursor.fetchall())


def _companies_of(cursor: Any, leads: Sequence[int]) -> dict[int, int]:
    cursor.execute(
        "SELECT id, company_id FROM leads_lead WHERE id = ANY(%s) AND company_id IS NOT NULL", [list(leads)]
    )
    return dict(cursor.fetchall())


def _lock_companies(cursor: Any, ids: Iterable[int]) -> dict[int, datetime | None]:
    cursor.execute(
        "SELECT id, customer_since FROM leads_company WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
        [sorted(ids)],
    )
    return dict(cursor.fetchall())


def _lock_members(cursor: Any, companies: Iterable[int]) -> list[tuple[int, int]]:
    # The join of a new lead waits for the company's lock, so nobody is missed.
    cursor.execute(
        "SELECT id, company_id FROM leads_lead WHERE company_id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
        [list(companies)],
    )
    return list(cursor.fetchall())


def _again(rows: Sequence[tuple[int, int, datetime]]) -> None:
    CustomerSignal.objects.bulk_create(
        [CustomerSignal(lead_id=lead, outcome_id=outcome, recorded_at=at) for lead, outcome, at in rows]
    )


def _changes(
    cursor: Any,
    heard: Sequence[tuple[int, int, datetime]],
    home: Mapping[int, int],
    present: Mapping[int, datetime | None],
    stamp: datetime,
) -> list[_Change]:
    """What really differs. Only a deal that was just heard of makes a customer: a flag that somebody took off
    by hand does not come back by an old deal. Only what a win made is taken back."""
    cursor.execute(_HOLDS, [list(present)])
    holding: dict[int, dict[int, datetime]] = {}
    for company, outcome, when in cursor.fetchall():
        holding.setdefault(company, {})[outcome] = when
    news: dict[int, set[int]] = {}
    for lead, outcome, _ in heard:
        news.setdefault(home[lead], set()).add(outcome)
    by_win = _made_by_win(cursor, list(present))
    found = []
    for company, outcomes in sorted(news.items()):
        deals, since = holding.get(company, {}), present.get(company)
        fresh = [deals[outcome] for outcome in outcomes if outcome in deals]
        if since is None and fresh:
            quiet = all(stamp - when > NEWS for when in fresh)
            found.append(_Change(company, False, min(fresh), quiet))
        elif since is not None and not deals and company in by_win:
            found.append(_Change(company, True, None, quiet=False))
    return found


def _made_by_win(cursor: Any, companies: Sequence[int]) -> set[int]:
    """The companies of which the flag was last set by a win."""
    cursor.execute(
        "SELECT DISTINCT ON (company_id) company_id, cause FROM leads_factchange"
        " WHERE company_id = ANY(%s) AND field = 'is_customer'"
        " ORDER BY company_id, recorded_at DESC, id DESC",
        [list(companies)],
    )
    return {company for company, cause in cursor.fetchall() if cause == WON}


def _write(cursor: Any, changes: Sequence[_Change], stamp: datetime) -> None:
    rows = [{"id": c.company, "customer_since": c.since} for c in changes]
    bulk.update(cursor, "leads_company", {"id": "bigint", "customer_since": "timestamptz"}, rows)
    for was, cause in ((False, WON), (True, GONE)):
        log = [{"company_id": c.company, "field": "is_customer", "old": was} for c in changes if c.was == was]
        if log:
            write_changes(cursor, log, stamp, SYSTEM, cause)
