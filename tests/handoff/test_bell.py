"""What the bell says, and that one broken letter keeps no other back."""

import pytest

from handoff import outbox
from handoff.models import Notice, Outbox
from leadflow import clock

pytestmark = pytest.mark.django_db


def test_the_bell_says_whose_lead_it_is_and_why_now(offered, as_user):
    handoff = offered()
    outbox.deliver(clock.now())
    page = as_user(handoff.owner).get("/notices/")
    assert page.status_code == 200
    assert "Lead 1 (Acme) is yours" in page.content.decode()


def test_a_letter_that_cannot_be_read_keeps_no_other_back(offered):
    handoff = offered()
    now = clock.now()
    Outbox.objects.create(
        key="broken",
        kind="nonsense",
        channel="bell",
        user=handoff.owner,
        created_at=now,
        not_before=now,
        next_try_at=now,
    )
    outbox.deliver(now)
    assert Notice.objects.filter(user=handoff.owner).count() == 1
    assert not Outbox.objects.filter(next_try_at__lte=now).exists()


def test_a_get_changes_nothing_and_a_post_reads(offered, as_user, people):
    handoff = offered()
    outbox.deliver(clock.now())
    notice = Notice.objects.get()
    client = as_user(handoff.owner)
    fragment = client.get("/notices/", headers={"hx-request": "true"}).content.decode()
    assert "<html" not in fragment
    assert f'"upto": "{notice.pk}"' in fragment
    other = people.ben if handoff.owner == people.sam else people.sam
    assert as_user(other).post("/notices/read/", {"upto": 10**15}).status_code == 200
    notice.refresh_from_db()
    assert notice.read_at is None
    assert client.post("/notices/read/", {"upto": "x"}).status_code == 200
    assert client.get("/notices/read/").status_code == 405
    client.post("/notices/read/", {"upto": notice.pk})
    notice.refresh_from_db()
    assert notice.read_at is not None
