"""Signatures and releases that meet: nobody signs twice, nothing starts twice, no old score wins."""

import time
from collections.abc import Callable
from threading import Barrier, Thread

import pytest
from django.db import connection, transaction

from leadflow import clock
from leadflow.accounts.actors import person
from leadflow.accounts.models import AuditEntry
from leadflow.errors import Conflict
from leadflow.jobs import runner
from leadflow.leads import stages
from scoring import agreements, engine
from scoring.models import Agreement, LeadScore, Signature, SignLink

pytestmark = pytest.mark.django_db(transaction=True)


def together(*acts: Callable[[], object]) -> list[object]:
    """Carry out acts at the same instant, each on a connection of its own; their answers or refusals."""
    gate = Barrier(len(acts))
    answers: list[object] = [None] * len(acts)

    def run(n: int, act: Callable[[], object]) -> None:
        try:
            gate.wait(10)
            answers[n] = act()
        except Conflict as refusal:
            answers[n] = refusal
        finally:
            connection.close()

    threads = [Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


@pytest.fixture
def proposed(people):
    return agreements.propose(agreements.create_draft(person(people.mia)), person(people.mia))


def test_two_sides_that_sign_at_once_put_it_into_force_once(proposed, people):
    together(*(lambda who=who: agreements.sign(proposed, person(who)) for who in (people.noah, people.rosa)))
    assert agreements.in_force().pk == proposed.pk
    assert Signature.objects.filter(voided_at=None).count() == 2
    assert AuditEntry.objects.filter(verb="agreement.in_force").count() == 1


def test_a_double_click_on_the_link_signs_once(proposed, people):
    link = SignLink.objects.get(user=people.rosa)
    answers = together(
        *(lambda: agreements.sign(proposed, person(people.rosa), method="link", link=link) for _ in range(3))
    )
    assert sum(isinstance(answer, Conflict) for answer in answers) == 2
    assert Signature.objects.count() == 1


def test_a_no_and_a_yes_at_once_leave_one_of_them(proposed, people):
    answers = together(
        lambda: agreements.sign(proposed, person(people.noah)),
        lambda: agreements.decline(proposed, person(people.rosa), "Not before the summer."),
    )
    proposed.refresh_from_db()
    assert proposed.state == Agreement.State.DECLINED
    assert not Signature.objects.filter(voided_at=None).exists()
    assert not isinstance(answers[1], Conflict)


def test_a_chunk_that_waited_scores_by_the_version_that_came_meanwhile(agreement_in_force, people, make_lead):
    lead = make_lead(title="Manager")
    while engine.score_pending(clock.now()):
        pass

    def next_version(points: int) -> Agreement:
        draft = agreements.create_draft(person(people.mia))
        rules = [c | {"points": points} if c["id"] == "f3" else c for c in draft.content["criteria"]]
        agreements.save_draft(draft, {**draft.content, "criteria": rules}, person(people.mia), 1)
        agreements.propose(draft, person(people.mia))
        agreements.sign(draft, person(people.noah))
        return agreements.sign(draft, person(people.rosa))

    def work() -> None:
        try:
            runner.work_one()
        finally:
            connection.close()

    next_version(17)
    slow = Thread(target=work)
    with transaction.atomic():
        stages.lock([lead.pk])
        slow.start()
        deadline = time.monotonic() + 30
        while not _somebody_waits():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # The worker of v2 stands before the lead's lock; now v3 comes into force.
        third = Thread(target=lambda: (next_version(27), connection.close()))
        third.start()
        third.join(30)
    slow.join(30)
    # The chunk of v2 itself, before v3's own has begun.
    score = LeadScore.objects.get(lead=lead)
    assert (score.agreement.number, score.fit) == (3, 30)


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()")
        return cursor.fetchone() is not None
