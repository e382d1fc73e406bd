"""Thirty leads are answered without the mouse, as fast as somebody can type: no key meets a wrong lead."""

from collections import Counter

import pytest
from playwright.sync_api import expect

from handoff import machine
from handoff.models import Handoff, State
from leadflow import clock
from leadflow.accounts.actors import SYSTEM
from leadflow.accounts.models import User
from leadflow.leads import intake
from scoring import engine

pytestmark = pytest.mark.django_db(transaction=True)
# What the keys say, and where the lead is afterwards. No waiting between them: the page keeps them in order.
WAYS = [
    (("a",), State.ACCEPTED),
    (("r", "2", "Enter"), State.REJECTED),
    (("c", "v"), State.WORKING),
    (("c", "1", "Enter"), State.WORKING),
    (("s", "1", "Enter"), State.OFFERED),
]


@pytest.fixture
def thirty(people, agreement_in_force) -> list[Handoff]:
    """Thirty people of thirty firms who asked for a demo; all with Sam, first due first."""
    User.objects.filter(pk=people.ben.pk).update(is_active=False)
    same = {"country": "Germany", "title": "VP Operations", "phone": "+49 40 5550 134", "source": "Website"}
    rows = [
        {"email": f"p{n}@firm{n}.example", "name": f"Person {n:02}", "company": f"Firm {n}", **same}
        for n in range(30)
    ]
    ids = intake.upsert_leads(rows, source="test", actor=SYSTEM).accepted
    asked = {"source": "test", "kind": "demo_requested", "occurred_at": clock.now()}
    acts = [{**asked, "external_id": f"demo{pk}", "lead_id": pk} for pk in ids]
    intake.record_activities(acts, actor=SYSTEM)
    while engine.score_pending(clock.now()) or machine.open_pending(clock.now(), 100):
        pass
    for pk in Handoff.objects.exclude(owner=people.sam).values_list("pk", flat=True):
        machine.apply("reassign", pk, SYSTEM, to=people.sam, reason="test")
    return list(Handoff.objects.select_related("lead").order_by("sla_due_at", "-total", "pk"))


def test_thirty_leads_are_answered_by_keys_alone(people, thirty, open_as) -> None:
    page = open_as(people.sam, "/queue/")
    expect(page.locator("#queue-list a[data-panel]")).to_have_count(30)
    # The mouse is gone: a click by hand would show.
    page.evaluate("addEventListener('mousedown', () => { window.mouse = true; }, true)")
    wanted = {}
    for n, handoff in enumerate(thirty):
        keys, state = WAYS[n % len(WAYS)]
        wanted[handoff.pk] = state
        for key in keys:
            page.keyboard.press(key)
        if n % 5 == 4:
            expect(page.locator(f"#row-{handoff.pk}")).to_have_count(0, timeout=20_000)
    found = {row.pk: row.state for row in Handoff.objects.all()}
    assert found == wanted
    assert Counter(found.values())[State.WORKING] == 12
    assert Handoff.objects.exclude(snoozed_until=None).count() == 6
    assert page.evaluate("window.mouse") is None
