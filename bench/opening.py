"""Routing and opening at once: so many leads that ask for a demo in the same moment."""

from django.db import transaction

from bench.loading import execute
from bench.run import Result, result, seconds
from handoff import calendars, machine, routing
from handoff.models import Handoff
from leadflow import clock
from leadflow.accounts.models import Role, Team, User

READY, REPS = 2_000, 5
# The budget.
A_SECOND = 1_000


def openings() -> Result:
    """2,000 fast tracks (fewer of a small base) to five reps: routed, frozen, promised, told. Taken back."""
    with transaction.atomic():
        _sales()
        # What the steps before left waiting is not what is measured here.
        execute("TRUNCATE scoring_crossing")
        count = _cross(READY + 1) - 1
        at = clock.now()
        # The first compiles the version in force and prepares the statements, as any worker has long done.
        machine.open_pending(at, 1)

        def run() -> None:
            while machine.open_pending(at):
                pass

        took = seconds(run)
        made = Handoff.objects.filter(kind=Handoff.Kind.FAST_TRACK, owner__isnull=False).count()
        if made != count + 1:
            raise SystemExit(f"{made} of {count + 1} leads were opened: mend bench/opening.py.")
        transaction.set_rollback(True)
    return result("leads routed and opened / 1,000 a second", count, took, count / A_SECOND, 1.0)


def _sales() -> None:
    team = Team.objects.create(name="Bench", tz="Europe/Berlin", kind=Team.Kind.SALES)
    for n in range(REPS):
        User.objects.create(email=f"rep{n}@bench.example", name=f"Rep {n}", role=Role.REP, team=team)
    calendars.ensure_calendar(team)
    routing.ensure_rules()


def _cross(count: int) -> int:
    made = execute(
        "INSERT INTO scoring_crossing (lead_id, at, known_at, kind, fast_track_no, agreement_id, cause,"
        " handled_as) SELECT l.id, now(), now(), 'fast_track', 1, a.id, '{}', '' FROM scoring_agreement a,"
        " leads_lead l WHERE a.state = 'in_force' AND l.stage <> 'excluded' AND l.merged_into_id IS NULL"
        " ORDER BY l.id LIMIT %s RETURNING 1",
        [count],
    )
    return len(made)
