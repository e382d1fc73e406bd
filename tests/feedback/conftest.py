"""A lead that sales has, and the whole conveyor at any instant."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from feedback import nurture
from handoff import admission, clocks, machine
from handoff.models import OPEN, Handoff
from leadflow import clock
from leadflow.accounts.actors import person
from scoring import engine

GOOD = {
    "title": "VP Operations",
    "company": "Rheinfracht",
    "employees": 320,
    "industry": "software",
    "company_country": "Germany",
    "country": "Germany",
    "phone": "+49 30 123456",
}


def run_flow(at: datetime) -> None:
    """What the workers do at this instant, until nothing is pending."""
    with clock.use(at):
        for _ in range(3):
            while engine.score_pending(at):
                pass
            while machine.pull_contacts(at):
                pass
            while machine.open_pending(at):
                pass
        clocks.tick(at)
        engine.end_holds(at)
        while engine.score_pending(at):
            pass
        admission.refill(at)
        nurture.tick(at)
        while engine.score_pending(at):
            pass
        while machine.open_pending(at):
            pass
        nurture.tick(at)


@pytest.fixture
def flow() -> Callable[[datetime], None]:
    return run_flow


@pytest.fixture
def offered(at, agreement_in_force, people, make_lead, did) -> Callable[..., Handoff]:
    """A good lead that has just asked for a demo and was offered to a rep."""
    count = iter(range(1, 1000))

    def offer(**facts: Any) -> Handoff:
        n = next(count)
        lead = make_lead(**{**GOOD, "company": f"Rheinfracht {n}", **facts})
        did(lead, "demo_requested")
        run_flow(at)
        return Handoff.objects.select_related("owner", "lead").get(lead=lead, state__in=OPEN)

    return offer


def owner_of(handoff: Handoff) -> Any:
    """The rep as an actor; a pooled handoff is claimed first by nobody, so there must be an owner."""
    assert handoff.owner is not None
    return person(handoff.owner)
