"""A lead that sales has, and the whole conveyor at any instant."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from datetime import datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction

from feedback import nurture
from handoff import admission, clocks, machine
from handoff.models import OPEN, Handoff
from leadflow import clock
from leadflow.accounts.actors import person
from scoring import engine
from tests.conftest import NOW, make_people

GOOD = {
    "title": "VP Operations",
    "company": "Rheinfracht",
    "employees": 320,
    "industry": "software",
    "company_country": "Germany",
    "country": "Germany",
    "phone": "+49 30 123456",
}


class Shelf:
    """The company of a module, written once; each test has it in a savepoint of its own.

    A module says by `write_company(people)` what it wants; tests and fixtures that name `company` stand in
    it. It is taken back before a test that does not, and with its module: in any order each sees what it
    asked for.
    """

    def __init__(self) -> None:
        self.people: SimpleNamespace | None = None
        self._open = ExitStack()

    def write(self, module: ModuleType, blocker: Any) -> None:
        """Write the company of this module, if it does not stand yet."""
        if self.people is not None:
            return
        with ExitStack() as stack:
            stack.enter_context(blocker.unblock())
            stack.enter_context(transaction.atomic())
            stack.callback(transaction.set_rollback, True)
            with clock.use(NOW):
                people = make_people()
                module.write_company(people)
            # Else each test would check the keys of all these rows again at its end.
            connection.check_constraints()
            self.people, self._open = people, stack.pop_all()

    def clear(self) -> None:
        """Take it back."""
        self.people = None
        self._open.close()


@pytest.fixture(scope="module")
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.clear()


@pytest.fixture(autouse=True)
def company_first(request: pytest.FixtureRequest, shelf: Shelf) -> None:
    """Before the test begins its own savepoint."""
    if not hasattr(request.module, "write_company"):
        return
    assert not request.node.get_closest_marker("django_db"), "begins a transaction before this"
    if "company" not in request.fixturenames:
        shelf.clear()
        return
    request.getfixturevalue("django_db_setup")
    shelf.write(request.module, request.getfixturevalue("django_db_blocker"))


@pytest.fixture
def company(shelf: Shelf, at: datetime, db: None) -> SimpleNamespace:
    """The people of the module's company, and what it made of them besides; a test's own copies."""
    return deepcopy(shelf.people)


@pytest.fixture
def people(request: pytest.FixtureRequest, db: None) -> SimpleNamespace:
    """The people of the company in which the test stands, or of an empty house."""
    return request.getfixturevalue("company") if "company" in request.fixturenames else make_people()


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
