"""Who hears what of the agreement: bell and mail, nothing lost, nothing twice, no secret in a table."""

import re
from datetime import timedelta

import pytest
from django.core import mail

from handoff import outbox, tellings
from handoff.models import Notice, Outbox
from leadflow import clock
from leadflow.accounts.actors import person
from scoring import agreements
from scoring.models import SignLink, Telling
from scoring.signing import links

pytestmark = pytest.mark.django_db


@pytest.fixture
def proposed(at, people):
    draft = agreements.create_draft(person(people.mia))
    return agreements.propose(draft, person(people.mia), note="Prices count twice")


def deliver() -> None:
    while tellings.pull(clock.now()):
        pass
    outbox.deliver(clock.now())


def heard(user) -> list[str]:
    return list(Notice.objects.filter(user=user).order_by("id").values_list("text", flat=True))


def test_whoever_may_sign_is_asked_by_bell_and_by_mail(proposed, people):
    deliver()
    assert heard(people.noah) == ["Mia asks you to sign agreement v1 for marketing"]
    assert heard(people.rosa) == ["Mia asks you to sign agreement v1 for sales"]
    assert heard(people.mia) == heard(people.admin) == heard(people.sam) == []
    assert sorted(m.to[0] for m in mail.outbox) == ["noah@example.com", "rosa@example.com"]
    assert "What changes: Prices count twice" in mail.outbox[0].body


def test_the_link_is_in_the_mail_and_in_no_table(proposed, people):
    deliver()
    secrets = [re.search(r"/agreement/by-link/([\w-]+)/", m.body).group(1) for m in mail.outbox]
    assert len(set(secrets)) == 2
    assert {links.find(secret).user for secret in secrets} == {people.noah, people.rosa}
    stored = str(list(Outbox.objects.values())) + str(list(Notice.objects.values()))
    stored += str(list(SignLink.objects.values()))
    assert not any(secret in stored for secret in secrets)


def test_a_kill_between_the_act_and_the_mail_loses_nothing_and_sends_nothing_twice(proposed, people):
    # The rows were written with the act; whoever comes first takes them, and the next finds none.
    assert Telling.objects.filter(taken_at=None).count() == 2
    deliver()
    Telling.objects.update(taken_at=None)
    deliver()
    assert len(mail.outbox) == 2
    assert Notice.objects.count() == 2


def test_nobody_is_asked_to_sign_what_was_taken_back_meanwhile(proposed, people):
    agreements.withdraw(proposed, person(people.mia))
    deliver()
    assert not any("asks you to sign" in text for text in heard(people.noah))
    assert mail.outbox == []


def test_the_first_signature_is_told_to_the_other_side_and_to_whoever_proposed(proposed, people):
    agreements.sign(proposed, person(people.noah))
    deliver()
    told = "Noah has signed agreement v1: the other side is asked now"
    assert told in heard(people.rosa)
    assert told in heard(people.mia)
    assert told not in heard(people.noah)


def test_a_no_is_read_by_both_sides_with_its_reason(proposed, people):
    agreements.decline(proposed, person(people.rosa), "Eight a day are too many.")
    deliver()
    for user in (people.noah, people.mia):
        assert heard(user)[-1] == "Rosa declined agreement v1: “Eight a day are too many.”"
    assert any("The reason: Eight a day are too many." in m.body for m in mail.outbox)


def test_whose_signature_became_void_hears_it_by_mail(proposed, people):
    agreements.sign(proposed, person(people.noah))
    second = agreements.create_draft(person(people.mia), content=proposed.content)
    agreements.propose(second, person(people.mia))
    deliver()
    assert [m.to[0] for m in mail.outbox if "Your signature on it is void" in m.body] == ["noah@example.com"]


def test_everybody_hears_that_it_is_in_force_unless_it_is_old_news(proposed, people):
    agreements.sign(proposed, person(people.noah))
    agreements.sign(proposed, person(people.rosa))
    with clock.use(clock.now() + timedelta(days=8)):
        deliver()
        assert Notice.objects.count() == 0
    Telling.objects.update(taken_at=None)
    deliver()
    assert "Agreement v1 is in force: every lead is scored by it" in heard(people.sam)
