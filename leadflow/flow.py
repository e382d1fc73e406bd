"""The conveyor: which worker pulls which pending rows. Tasks are shims; the rooms do the work."""

import time

from django.conf import settings

from leadflow import clock, nudge
from leadflow.celery import app

# How many passes one task makes before it lets others have a turn.
PASSES = 50
# So many seconds of a minute at most the kept figures of reports are filled.
FILLING = 30
# A pass over a handful costs more than the handful: while more come in, it waits so many seconds for them.
HANDFUL, COMPANY = 100, 0.15


@app.task(name="flow.score")
def score() -> None:
    """Companies hear of won deals; score the leads that changed, then open the handoffs of those ready."""
    from leadflow.leads import customers
    from scoring import engine

    nudge.clear("flow.score")
    _until_empty(lambda: customers.pull(clock.now()))

    def scored() -> int:
        done = engine.score_pending(clock.now())
        # At once: while acts come in all the time, there is always one more to score.
        open_handoffs()
        if 0 < done < HANDFUL and settings.NUDGES and engine.is_pending():
            time.sleep(COMPANY)
        return done

    _until_empty(scored)


@app.task(name="flow.open")
def open_handoffs() -> None:
    """Turn pending crossings into handoffs, or into a wait for room."""
    from handoff import machine

    nudge.clear("flow.open")
    _until_empty(lambda: machine.pull_contacts(clock.now()))
    _until_empty(lambda: machine.open_pending(clock.now()))


@app.task(name="flow.refresh")
def refresh() -> None:
    """Rescore leads whose points fade with time."""
    from scoring import engine

    engine.queue_refresh(clock.now())
    score()


@app.task(name="clock.tick")
def tick() -> None:
    """Warn, mark late, escalate, wake what slept; pass on what awaits somebody away; offer what waited."""
    from feedback import nurture
    from handoff import absences, admission, clocks
    from scoring import engine

    at = clock.now()
    _until_empty(lambda: clocks.tick(at))
    absences.begin(at)
    engine.end_holds(at)
    admission.refill(at)
    nurture.tick(at)


@app.task(name="clock.deliver")
def deliver() -> None:
    """Send what waits in the outbox, news of the agreement and for other systems included."""
    from handoff import outbox, tellings
    from handoff.endpoints import pulling

    nudge.clear("clock.deliver")
    _until_empty(lambda: tellings.pull(clock.now()))
    _until_empty(lambda: pulling.pull(clock.now()))
    outbox.deliver(clock.now())


@app.task(name="clock.tidy")
def tidy() -> None:
    """Forget what need not be kept: old messages to other systems, answers to repeated requests, what was
    written about leads that were erased."""
    from handoff.endpoints import pulling
    from leadflow.accounts import api
    from scoring.workshops import sorting

    sorting.forget_erased()
    _until_empty(lambda: pulling.tidy(clock.now()))
    api.forget_requests(clock.now())


@app.task(name="clock.in_force")
def in_force() -> None:
    """Put a signed agreement into force when its day has come."""
    from scoring import agreements

    agreements.start_due(clock.now())


@app.task(name="bulk.reports")
def reports() -> None:
    """Keep the figures that long reports read, check the books, write the weekly mails, open the pulse."""
    from feedback.pulse import rounds
    from feedback.reports import books, journeys, weekly

    rounds.tick(clock.now())
    began = time.monotonic()
    journeys.refresh(clock.now())
    # The first filling of a large base goes on while this minute lasts: readers wait for it.
    while journeys.filling() is not None and time.monotonic() - began < FILLING:
        journeys.refresh(clock.now())
    weekly.send(clock.now())
    books.refresh(clock.now())


@app.task(name="bulk.tracks")
def tracks() -> None:
    """Put leads on the tracks that start by themselves."""
    from feedback import nurture

    nurture.sweep(clock.now())


@app.task(name="bulk.work")
def work() -> None:
    """Work on the chunks of long jobs."""
    from leadflow.jobs import runner

    nudge.clear("bulk.work")
    _until_empty(runner.work_one)


def _until_empty(step) -> None:  # type: ignore[no-untyped-def]
    for _ in range(PASSES):
        if not step():
            return
