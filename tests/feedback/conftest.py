"""A lead that sales has, and the whole conveyor at any instant."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction

from feedback import nurture
from handoff import admission, clocks, machine
from handoff.models import OPEN, Handoff
from leadflow import clock
from leadflow.accounts.actors import person
from scoring import agreements, engine
from scoring.models import Agreement
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
    """A house that several tests of a module begin in, written once; each has it in a savepoint of its own.

    A module says by `write_company(people)` what tests and fixtures that name `company` stand in; whoever
    names no more than `agreement_in_force` begins with people and their agreement. It is taken back before a
    test that asks for another house, and with its module: in any order each sees what it asked for.
    """

    def __init__(self) -> None:
        self.write: Write | None = None
        self.people, self.made = SimpleNamespace(), None
        self._open = ExitStack()

    def stand(self, write: "Write | None", blocker: Any) -> None:
        """Have the house that this writes, if it does not stand yet; None: an empty one."""
        if write is self.write:
            return
        self.write = None
        self._open.close()
        if write is None:
            return
        with ExitStack() as stack:
            stack.enter_context(blocker.unblock())
            stack.enter_context(transaction.atomic())
            stack.callback(transaction.set_rollback, True)
            with clock.use(NOW):
                people = make_people()
                made = write(people)
            # Else each test would check the keys of all these rows again at its end.
            connection.check_constraints()
            self.write, self.people, self.made, self._open = write, people, made, stack.pop_all()


Write = Callable[[SimpleNamespace], Any]


def install_agreement(people: SimpleNamespace) -> Agreement:
    return agreements.install_default(person_marketing=people.noah, person_sales=people.rosa)


@pytest.fixture(scope="module")
def shelf(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[Shelf | None]:
    """None in a module of which a test begins its transaction before anything else, by its mark."""
    tests = [item for item in request.session.items if item.path == request.path]
    if any(item.get_closest_marker("django_db") for item in tests):
        yield None
        return
    shelf = Shelf()
    yield shelf
    shelf.stand(None, django_db_blocker)


@pytest.fixture(autouse=True)
def house_first(request: pytest.FixtureRequest, shelf: Shelf | None) -> None:
    """Before the test begins its own savepoint."""
    if shelf is None:
        return
    names = request.fixturenames
    write: Write | None = None
    if "company" in names:
        write = getattr(request.module, "write_company", None)
    elif {"agreement_in_force", "at"} <= {*names}:
        write = install_agreement
    if write:
        request.getfixturevalue("django_db_setup")
    shelf.stand(write, request.getfixturevalue("django_db_blocker"))


@pytest.fixture
def company(shelf: Shelf, at: datetime, db: None) -> SimpleNamespace:
    """The people of the module's company: a test's own copies."""
    return deepcopy(shelf.people)


@pytest.fixture
def people(shelf: Shelf | None, db: None) -> SimpleNamespace:
    """The people of the house in which the test begins."""
    return deepcopy(shelf.people) if shelf and shelf.write else make_people()


@pytest.fixture
def agreement_in_force(shelf: Shelf | None, people: SimpleNamespace) -> Agreement:
    """The default agreement, signed by both sides and in force."""
    if shelf and shelf.write is install_agreement:
        return deepcopy(shelf.made)
    return install_agreement(people)


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
