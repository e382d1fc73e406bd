"""Two people at once: the workshop closes once, and no answer changes after it was said to be done."""

import pytest
from django.db import transaction

from handoff.models import Outbox
from leadflow.accounts.actors import person
from leadflow.accounts.models import AuditEntry
from leadflow.errors import Conflict
from scoring.models import WorkshopMember, WorkshopVote
from scoring.workshops import drawing, sorting
from tests.scoring.test_races import in_thread, until_somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def workshop(people, make_lead):
    """Two leads that Mia and Sam have sorted, and not yet finished."""
    for _ in range(2):
        make_lead()
    made = drawing.set_up(
        person(people.noah), "Autumn", cards=5, days=30, people=[people.mia.pk, people.sam.pk]
    )
    for user in (people.mia, people.sam):
        for n in (1, 2):
            sorting.sort(made, n, person(user), "good")
    return made


def test_the_last_two_finish_at_once_and_it_closes_once(workshop, people) -> None:
    with transaction.atomic():
        sorting.finish(workshop, person(people.mia))
        other = in_thread(lambda: sorting.finish(workshop, person(people.sam)))
        until_somebody_waits()
    other.join()
    workshop.refresh_from_db()
    assert workshop.state == "closed"
    assert WorkshopMember.objects.filter(finished_at__isnull=False).count() == 2
    assert AuditEntry.objects.filter(verb="workshop.closed").count() == 1
    assert Outbox.objects.filter(key__contains=":closed:").count() == 3


def test_an_answer_that_comes_while_one_finishes_is_refused(workshop, people) -> None:
    refused = []

    def late() -> None:
        try:
            sorting.sort(workshop, 1, person(people.mia), "not_good")
        except Conflict as problem:
            refused.append(problem.message)

    with transaction.atomic():
        sorting.finish(workshop, person(people.mia))
        other = in_thread(late)
        until_somebody_waits()
    other.join()
    assert refused == ["You have said that you are done: your answers stand."]
    assert WorkshopVote.objects.get(card__n=1, user=people.mia).vote == "good"
