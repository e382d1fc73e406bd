"""Leads that were handed to sales in a period, each once by its first handover there, and what came of it."""

from collections.abc import Collection
from typing import Any

from feedback.reports import journeys, keeping
from feedback.reports.base import NO_SOURCE, Filters
from feedback.reports.cube import Dim, Relation
from feedback.waits import shown
from leadflow.accounts.models import Team, User
from leadflow.numbers import whole

NOBODY = "0"
# Without kept rows every lead offered in the period is read from its ledgers.
_OF_PERIOD = """SELECT DISTINCT lead_id AS id FROM handoff_handoff
    WHERE first_offered_at >= %(low)s AND first_offered_at < %(high)s"""
# Over `h`: the persona that the lead was at its offer, and the agreement under which it was made.
PERSONA = (
    "h.frozen -> 'persona' ->> 'key' = %(persona)s"
    " AND h.frozen -> 'persona' ->> 'ideal' IS DISTINCT FROM 'false'"
)
VERSION = "h.agreement_id = (SELECT id FROM scoring_agreement WHERE number = %(version)s)"
_LEDGER = {"team": "h.team_id = %(team)s", "version": VERSION, "persona": PERSONA}
# What is asked of a handoff as it is kept (`k`), or as its ledgers say now: the same columns.
_ASKED = {
    "source": "k.first_source = %(source)s",
    "campaign": "k.first_campaign_id = (SELECT id FROM leads_campaign WHERE code = %(campaign)s)",
    "team": "k.team_id = %(team)s",
    "version": "k.agreement_id = (SELECT id FROM scoring_agreement WHERE number = %(version)s)",
    "persona": "k.persona = %(persona)s",
}
_WINS = """(SELECT sum(o.amount) FROM leads_outcome o WHERE o.lead_id = k.lead_id AND o.kind = 'won'
        AND o.voided_at IS NULL AND o.replaced_by_id IS NULL AND o.at >= k.offered_at AND o.at <= %(at)s)"""
WAITS = {"touched": "called_after", "answered": "answered_after"}
_ANSWERS = ("answered", "accepted", "refused")
_STEPS = ("touched", "reached", "opportunity", "customer", *_ANSWERS)


def _then(whole: Collection[str] = ()) -> str:
    """A handoff as it was known at %(at)s; the steps in `whole` are not later than that."""
    cut = "CASE WHEN k.{0}_at <= %(at)s THEN k.{0}_at END AS {0}_at"
    steps = [f"k.{step}_at" if step in whole else cut.format(step) for step in _STEPS]
    return f"""k.handoff_id, k.lead_id, k.owner_id, k.team_id, k.kind, k.known, k.agreement_id, k.alone,
        coalesce(nullif(k.grade, ''), 'none') AS grade,
        coalesce(nullif(k.first_source, ''), '{NO_SOURCE}') AS source, k.offered_at, {", ".join(steps)},
        CASE WHEN k.won_at IS NULL OR k.customer_at > %(at)s THEN 0 WHEN k.won_at <= %(at)s
             THEN coalesce(k.revenue, 0) ELSE coalesce({_WINS}, 0) END AS revenue"""


# How long the first contact and the answer took: reckoned, or as the row has it.
_WAITED = ", ".join(f"{shown(f'k.{step}_at - k.offered_at')} AS {name}" for step, name in WAITS.items())
_WAITED_KEPT = ", ".join(f"k.{name}" for name in WAITS.values())
_PERIOD = "NOT k.gone AND k.offered_at >= %(low)s AND k.offered_at < %(high)s AND k.offered_at <= %(at)s"
# Of what was written about since the mark nothing kept counts. The array between makes it a look-up by hash,
# whatever number the plan expects.
_STILL = "k.lead_id NOT IN (SELECT unnest(ARRAY(SELECT id FROM moved)))"


def handed_over(filters: Filters) -> Relation:
    """One row per lead first offered in the period, as known at `filters.at`.

    Columns: lead_id, handoff_id, owner_id, team_id, grade, kind, agreement_id, source, known (all that
    sales must know was there), offered_at, answered_at (any answer), accepted_at, refused_at (rejected or
    returned), touched_at, reached_at, opportunity_at, customer_at, revenue (of deals won since the offer);
    called_after and answered_after: how long that took, in seconds rounded as shown, also what is cut.
    """
    kept = journeys.kept(filters)
    bound: dict[str, Any] = {"low": filters.low, "high": filters.high, "at": filters.at, "zone": filters.zone}
    bound["mark"] = kept.mark if kept else None
    where = [_PERIOD]
    for name, condition in _ASKED.items():
        if getattr(filters, name):
            where.append(condition)
            bound[name] = getattr(filters, name)
    if filters.source == NO_SOURCE:
        bound["source"] = ""
    asked = " AND ".join(where)
    rows = f"SELECT {_then()}, {_WAITED} FROM live k WHERE {asked}"  # noqa: S608 our pieces
    parts, single = ["several"], ""
    if kept:
        # A lead with one handoff in all counts by it: read as the table stands, which is most of the work.
        # An answer is never dated ahead, as a contact or deal may be: none of those kept is after the mark.
        then = _then(_ANSWERS if kept.mark <= filters.at else ())
        every = f"SELECT {then}, {_WAITED_KEPT} FROM feedback_handoverkept k"  # noqa: S608 ours
        of_kept = f"{every} WHERE {_STILL} AND {asked} AND"
        rows += f" UNION ALL {of_kept} NOT k.alone"
        single = f"single AS NOT MATERIALIZED ({of_kept} k.alone),"
        parts.append("single")
    # Leads about which something was written since the mark are read from their ledgers.
    text = f"""moved AS MATERIALIZED ({journeys.MOVED if kept else _OF_PERIOD}),
    live AS MATERIALIZED ({keeping.HANDOFFS.format(ids="moved")}),
    several AS NOT MATERIALIZED (
        SELECT DISTINCT ON (lead_id) * FROM ({rows}) r ORDER BY lead_id, offered_at, handoff_id), {single}
    base AS ({" UNION ALL ".join(f"SELECT * FROM {part}" for part in parts)})"""  # noqa: S608 ours
    return Relation(text, bound, parts)


def of_leads(filters: Filters) -> list[str]:
    """What is asked of a lead `l` itself, wherever it stands."""
    return ["l.merged_into_id IS NULL", "l.erased_at IS NULL", *came_by(filters)]


def came_by(filters: Filters) -> list[str]:
    """What is asked of the first source and campaign of `l`, a lead or the kept row of one."""
    where = []
    if filters.source:
        where.append("l.first_source = %(source)s")
    if filters.campaign:
        where.append("l.first_campaign_id = (SELECT id FROM leads_campaign WHERE code = %(campaign)s)")
    return where


def narrowed(filters: Filters, lead: str) -> Relation:
    """The leads `lead` (a column) that had a handover with the team, version and persona asked, whenever.

    `parts` are the conditions, `text` is what they read: with kept rows `moved`, the leads about which
    something was written since the `mark` that is bound. Bound is what `of_leads` needs, too.
    """
    bound: dict[str, Any] = {"low": filters.low, "high": filters.high, "at": filters.at}
    bound |= {"source": "" if filters.source == NO_SOURCE else filters.source, "campaign": filters.campaign}
    asked = [name for name in ("team", "version", "persona") if getattr(filters, name)]
    bound |= {name: getattr(filters, name) for name in asked}
    kept = journeys.kept(filters) if asked or came_by(filters) else None
    if kept is None:
        of_ledger = "SELECT h.lead_id FROM handoff_handoff h WHERE {}"
        return Relation("", bound, [f"{lead} IN ({of_ledger.format(_LEDGER[name])})" for name in asked])
    bound["mark"] = kept.mark
    known = f"SELECT k.lead_id FROM feedback_handoverkept k WHERE {_STILL} AND {{}}"  # noqa: S608 ours
    moved = "SELECT h.lead_id FROM handoff_handoff h WHERE h.lead_id IN (SELECT id FROM moved) AND {}"
    either = [f"{known.format(_ASKED[name])} UNION ALL {moved.format(_LEDGER[name])}" for name in asked]
    return Relation(
        f"moved AS MATERIALIZED ({journeys.MOVED}),", bound, [f"{lead} IN ({one})" for one in either]
    )


def teams(keys: Any) -> dict[str, str]:
    """Names of teams by id as text."""
    ids = [pk for key in keys if (pk := whole(key)) is not None]
    return {str(pk): name for pk, name in Team.objects.filter(pk__in=ids).values_list("pk", "name")} | {
        NOBODY: "No team"
    }


def reps(keys: Any) -> dict[str, str]:
    """Names of people by id as text."""
    ids = [pk for key in keys if (pk := whole(key)) is not None]
    return {str(pk): name for pk, name in User.objects.filter(pk__in=ids).values_list("pk", "name")} | {
        NOBODY: "In the pool, nobody yet"
    }


ROUNDED = "Half of them waited no longer than the middle one; waits are rounded to what is shown."
TEAM = Dim("Team", "team_id", teams, NOBODY)
REP = Dim("Rep", "owner_id", reps, NOBODY)
GRADE = Dim("Grade", "grade", lambda keys: {"none": "No grade"})
SOURCE = Dim("Source", "source")
