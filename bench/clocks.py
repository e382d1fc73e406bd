"""The clocks: an addition of working time, and many promises that fall due at once."""

import random
from datetime import datetime, timedelta

from django.db import connection, transaction

from bench.loading import execute
from bench.run import Result, result, seconds
from handoff import calendars, clocks, promises
from handoff.models import Handoff, SlaResult
from leadflow import clock
from leadflow.accounts.models import Role, Team, User
from leadflow.leads.models import Lead
from scoring.sla import Late, Policy

ADDITIONS = 20_000
# Microseconds that an addition may take.
ADDITION = 10
REPS = 10
DUE_AT_ONCE = 50_000
# What two leads may not have in common.
UNIQUE = ("id", "email", "email_key")
POLICY = Policy(
    "others", "Everybody else", 480, 960, 960, (0.75,), (Late(0, "notify"), Late(480, "exception"))
)


def additions() -> Result:
    """Working hours from a random instant of a year, in a calendar with lunch breaks and public holidays."""
    dice = random.Random(3)  # noqa: S311
    week = calendars.week_of(calendars.DEFAULT_WEEK)
    calendar = calendars.WorkCalendar("Europe/Berlin", week, calendars.public_holidays("DE", "BY"))
    start = clock.now()
    asked = [
        (start + timedelta(seconds=dice.randrange(365 * 86_400)), timedelta(minutes=dice.randrange(1, 2_880)))
        for _ in range(ADDITIONS)
    ]

    def add() -> None:
        for at, length in asked:
            calendar.add(at, length)

    took = seconds(add, 5)
    return result(
        f"additions of working time / {ADDITION} µs each", ADDITIONS, took, ADDITIONS * ADDITION / 1e6, 1
    )


def ticks(leads: int, due: int | None = None) -> Result:
    """Answers that fall due at once: marked late, counted for lead and holder, listed, told to rep and
    manager; each once. Beside the bare statement that only moves the next look.

    `due`: how many; by default as many as there are leads, 50,000 at most.
    """
    at = clock.now()
    count = _lay_down(due or min(DUE_AT_ONCE, leads), at)

    def bare() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE handoff_handoff SET sla_tick_at = %s, sla_ticks = '[]', changed_at = %s"
                " WHERE sla_tick_at <= %s RETURNING id",
                [at + timedelta(days=1), at, at],
            )
            cursor.fetchall()
            transaction.set_rollback(True)

    def ours() -> None:
        while clocks.tick(at):
            pass

    reference = seconds(bare, 2, before=lambda: execute("VACUUM handoff_handoff"))
    execute("VACUUM handoff_handoff")
    took = seconds(ours)
    missed = SlaResult.objects.filter(result=SlaResult.Result.MISSED, scope=SlaResult.Scope.HOLDER).count()
    if missed != count:
        raise AssertionError(f"{missed:,} of {count:,} answers were counted as missed")
    return result("answers due at once / bare UPDATE … RETURNING", count, took, reference, 5.0)


def _more_leads(count: int) -> None:
    """Copies of leads, until there are so many: each has one open handoff at most."""
    same = ", ".join(str(f.column) for f in Lead._meta.concrete_fields if f.column not in UNIQUE)
    execute(
        f"INSERT INTO leads_lead (email, {same}) SELECT '', {same} FROM leads_lead l,"  # noqa: S608 - of the model
        " generate_series(1, (SELECT %s / count(*) + 1 FROM leads_lead)) ORDER BY l.id"
        " LIMIT GREATEST(0, %s - (SELECT count(*) FROM leads_lead))",
        [count, count],
    )


def _lay_down(count: int, at: datetime) -> int:
    """So many offers whose answer has just become due, spread over a team with a manager."""
    _more_leads(count)
    team = Team.objects.create(name="Bench", kind=Team.Kind.SALES, tz="Europe/Berlin")
    people = [
        User.objects.create(email=f"rep{n}@bench.example", name=f"Rep {n}", role=Role.REP, team=team)
        for n in range(REPS + 1)
    ]
    team.manager = people.pop()
    team.save()
    ids = [row[0] for row in execute("SELECT id FROM leads_lead ORDER BY id LIMIT %s", [count])]
    # Around the clock, so that the same falls due whenever it is measured.
    hours, offered = calendars.AROUND_THE_CLOCK, at - timedelta(minutes=POLICY.accept + 5)
    rows = []
    for n, lead in enumerate(ids):
        row = Handoff(
            lead_id=lead,
            kind=Handoff.Kind.BAR,
            owner=people[n % REPS],
            team=team,
            offered_at=offered,
            first_offered_at=offered,
            frozen={"sla": POLICY.frozen()},
            changed_at=offered,
        )
        promises.start_offer(row, hours, POLICY, offered)
        rows.append(row)
    Handoff.objects.bulk_create(rows, batch_size=2_000)
    execute("ANALYZE handoff_handoff")
    return len(rows)
