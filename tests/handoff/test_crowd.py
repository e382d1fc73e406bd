"""Sixty-four people take at random from one pool, as many at once as two web processes let in: each lead goes
to one of them, once, and everybody else hears who has it."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from django.db import connection

from handoff import machine
from handoff.models import Handoff, SlaResult, State, Transition
from leadflow import clock
from leadflow.accounts.actors import SYSTEM, person
from leadflow.errors import Conflict, Forbidden

pytestmark = pytest.mark.django_db(transaction=True)
PEOPLE, LEADS, AT_ONCE = 64, 20, 16


def test_sixty_four_people_take_at_random_from_one_pool_and_none_is_taken_twice(offered, reps) -> None:
    pool = [offered("fast_track", company=f"Firm {n}") for n in range(LEADS)]
    everybody, now = reps(PEOPLE), clock.now()
    for handoff in pool:
        machine.apply("reassign", handoff.pk, SYSTEM, to="pool", reason="test")

    def choose(n: int) -> Counter[str]:
        luck, said = Random(n), Counter[str]()
        order = luck.sample([one.pk for one in pool], LEADS)
        try:
            for pk in order[: LEADS // 2]:
                try:
                    with clock.use(now):
                        machine.apply("accept", pk, person(everybody[n]))
                    said["mine"] += 1
                except (Conflict, Forbidden) as no:
                    told = " accepted this" in str(no) or str(no).startswith("This lead is with")
                    said["another's" if told else str(no)] += 1
        finally:
            connection.close()
        return said

    with ThreadPoolExecutor(AT_ONCE) as crowd:
        said = sum(crowd.map(choose, range(PEOPLE)), Counter[str]())
    rows = Handoff.objects.filter(pk__in=[one.pk for one in pool])
    assert {row.state for row in rows} == {State.ACCEPTED}
    assert said == {"mine": LEADS, "another's": PEOPLE * (LEADS // 2) - LEADS}
    accepts = Transition.objects.filter(action="accept").values_list("handoff", flat=True)
    assert sorted(accepts) == sorted(one.pk for one in pool)
    kept = SlaResult.objects.filter(promise="acceptance", scope="lead", voided_at=None)
    assert sorted(kept.values_list("handoff", flat=True)) == sorted(one.pk for one in pool)
