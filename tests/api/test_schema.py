"""What the OpenAPI document says about agreement, scores and handoffs is what the API does, odd input too."""

import pytest
import schemathesis
from django.core import signals
from django.db import close_old_connections
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from leadflow.accounts.actors import SYSTEM, person
from leadflow.accounts.keys import SCOPES, create_key
from leadflow.wsgi import application
from scoring import agreements

pytestmark = pytest.mark.django_db
EXAMPLES = 12
# The acts on a handoff are much alike: fewer of each.
EXAMPLES_OF_ACTS = 3


@pytest.fixture
def key(at, people, make_lead) -> str:
    """A key for everything, in a house with a draft, a proposal and a lead."""
    make_lead()
    agreements.propose(agreements.create_draft(person(people.mia)), person(people.mia))
    agreements.create_draft(person(people.mia))
    return create_key(SYSTEM, "CRM", list(SCOPES))[1]


@pytest.fixture
def one_connection():
    """A request does not close the connection in whose transaction the test lives."""
    ends = (signals.request_started, signals.request_finished)
    for signal in ends:
        signal.disconnect(close_old_connections)
    yield
    for signal in ends:
        signal.connect(close_old_connections)


@pytest.fixture
def document(key, one_connection):
    headers = {"Authorization": f"Bearer {key}"}
    whole = schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", application, headers=headers)
    return whole.include(path_regex=r"/agreements/|/score/|/handoffs/")


def test_the_agreements_api_does_what_its_document_says(document, key):
    tried = []
    for found in document.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES_OF_ACTS if "/handoffs/" in operation.path else EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def does_what_it_says(case):
            # That a text has the form of a rule or a day does not make it one that holds.
            case.call_and_validate(
                headers={"Authorization": f"Bearer {key}"}, excluded_checks=[positive_data_acceptance]
            )

        does_what_it_says()
        tried.append(operation.label)
    assert len(tried) == 25, tried
