"""An agreement in force for the engine's tests, and leads made by rows."""

import pytest

from leadflow import clock
from leadflow.accounts.actors import person
from scoring import agreements
from scoring.document import content_sha
from scoring.models import Agreement, ListEntry, ListSnapshot
from tests.scoring.sample import content as sample_content


@pytest.fixture
def snapshots(db):
    """Two short lists of domains under the names that the sample agreement uses."""
    for sha, key, domain in (("free", "free_mail", "gmail.com"), ("gone", "throwaway", "mailinator.com")):
        named = {"key": key, "at": clock.now()}
        snapshot, _ = ListSnapshot.objects.get_or_create(sha256=sha, defaults=named)
        ListEntry.objects.get_or_create(snapshot=snapshot, value=domain)


@pytest.fixture
def put_in_force(db, snapshots):
    """Put a content into force without the ceremony of signing."""

    def put(content=None, state=Agreement.State.IN_FORCE):
        body = content or sample_content()
        at = clock.now()
        Agreement.objects.filter(state=Agreement.State.IN_FORCE).update(state=Agreement.State.SUPERSEDED)
        last = Agreement.objects.order_by("-number").first()
        return Agreement.objects.create(
            number=last.number + 1 if last else 1,
            state=state,
            content=body,
            sha256=content_sha(body),
            zone=body["zone"],
            created_at=at,
            changed_at=at,
            in_force_at=at if state == Agreement.State.IN_FORCE else None,
        )

    return put


@pytest.fixture
def agreement(at, put_in_force):
    """The sample agreement, in force."""
    return put_in_force()


@pytest.fixture
def draft(at, agreement_in_force, people):
    """A draft of the second version."""
    return agreements.create_draft(person(people.mia))


@pytest.fixture
def mia(as_user, people):
    """Mia's browser, speaking htmx."""
    client = as_user(people.mia)
    client.defaults["HTTP_HX_REQUEST"] = "true"
    return client
