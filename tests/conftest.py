"""Three fixed sides of the house, and quick ways to make leads."""

from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.accounts.models import Organisation, Role, Team, User

pytest_plugins = ["tests.loud", "tests.emptying"]

BERLIN = ZoneInfo("Europe/Berlin")
# A Tuesday morning in working hours, as in the mockups.
NOW = datetime(2026, 11, 24, 9, 12, tzinfo=BERLIN)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """The database of the run, with the long lists that agreements name: written once, not by each test."""
    from scoring import lists

    with django_db_blocker.unblock():
        lists.shipped_snapshots()


@pytest.fixture
def at():
    """The instant at which a test lives; the house's clock stands there."""
    with clock.use(NOW):
        yield NOW


@pytest.fixture(autouse=True)
def clock_first(request):
    """A test that lives at an instant has nothing made at another, in whatever order it names its parts."""
    if "at" in request.fixturenames:
        request.getfixturevalue("at")


@pytest.fixture
def people(db) -> SimpleNamespace:
    """The three sides of the house."""
    return make_people()


def make_people() -> SimpleNamespace:
    """Mia and Noah of marketing; Sam, Ben and Rosa of team North; an admin; a stranger of team South."""
    Organisation.objects.update_or_create(pk=1, defaults={"name": "Nordfracht", "tz": "Europe/Berlin"})
    north = Team.objects.create(name="North", kind=Team.Kind.SALES, tz="Europe/Berlin")
    south = Team.objects.create(name="South", kind=Team.Kind.SALES, tz="Europe/Berlin")
    market = Team.objects.create(name="Marketing", kind=Team.Kind.MARKETING, tz="Europe/Berlin")

    def person(name: str, role: Role, team: Team | None) -> User:
        return User.objects.create(
            email=f"{name.lower()}@example.com", name=name, role=role, team=team, password="!"
        )

    made = SimpleNamespace(
        mia=person("Mia", Role.MARKETER, market),
        noah=person("Noah", Role.MARKETING_MANAGER, market),
        sam=person("Sam", Role.REP, north),
        ben=person("Ben", Role.REP, north),
        rosa=person("Rosa", Role.SALES_MANAGER, north),
        stranger=person("Sten", Role.REP, south),
        admin=person("Admin", Role.ADMIN, None),
        north=north,
        south=south,
        marketing=market,
    )
    north.manager = made.rosa
    north.save()
    return made


@pytest.fixture
def as_user() -> Callable[[User], Client]:
    """A browser in which this person is signed in."""

    def login(user: User) -> Client:
        client = Client()
        client.force_login(user, backend="leadflow.accounts.backends.PeopleBackend")
        return client

    return login


@pytest.fixture
def make_lead(db) -> Callable[..., Any]:
    """Take a lead in through the real door; returns the row."""
    from leadflow.leads import intake
    from leadflow.leads.models import Lead

    count = iter(range(1, 1_000_000))

    def make(**facts: Any) -> Lead:
        n = next(count)
        row = {"email": f"lead{n}@customer{n}.example", "name": f"Lead {n}", "source": "Website", **facts}
        result = intake.upsert_leads([row], source="test", actor=SYSTEM)
        assert not result.rejected, result.rejected
        return Lead.objects.get(pk=result.accepted[0])

    return make


@pytest.fixture
def did(db) -> Callable[..., None]:
    """Record that a lead did something, `days_ago` before the house's now."""
    from leadflow.leads import intake

    count = iter(range(1, 1_000_000))

    def record(lead: Any, kind: str, days_ago: float = 0, **more: Any) -> None:
        row = {
            "source": "test",
            "external_id": f"act{next(count)}",
            "kind": kind,
            "lead_id": lead.pk,
            "occurred_at": clock.now() - timedelta(days=days_ago),
            **more,
        }
        result = intake.record_activities([row], actor=SYSTEM)
        assert not result.rejected, result.rejected

    return record


@pytest.fixture
def agreement_in_force(people):
    """The default agreement, signed by both sides and in force."""
    from scoring import agreements

    return agreements.install_default(person_marketing=people.noah, person_sales=people.rosa)
