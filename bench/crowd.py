"""A crowd at one pool: 64 people who accept what they see, each at moments of their own.

`python -m bench.crowd [--people 64] [--seconds 30] [--leads 400] [--pages] [--burst]` starts an installation
of its own (`manage.py up` in a folder that is thrown away) and lays down one pool. Each person has a session
and posts the act as the page does, with its token. They act every two to six seconds, at random, on any lead
that they have not tried: half of the time they accept it, else they claim it and accept it the next time.
Somebody may have been quicker; that is an answer, too.

`--pages`: their pages stay open as well, ask for the whole list after each act, and what is new every four
seconds.

`--burst`: all of them once, in the same instant. It is told; nobody promises anything for it.

Afterwards no lead may have two owners or two acceptances, and each must be whose act was answered “yes”.
"""

import argparse
import http.client
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from bench.live import asked, each, measured, running, share, used_by
from bench.queues import TIMEOUT, cookie_of
from bench.run import Result, result, say
from tests.house.installation import Installation

PEOPLE, SECONDS, LEADS = 64, 30, 400
# Seconds between two acts of one person, and between two questions of an open page.
THINKS, ASKED_EVERY = (2.0, 6.0), 4.0
# The budget: seconds that 95 of 100 answers take at most.
BUDGET = 0.2
# Yes; somebody was quicker; the desk is full.
ANSWERS = (http.HTTPStatus.OK, http.HTTPStatus.CONFLICT, http.HTTPStatus.FORBIDDEN)
TOKEN = re.compile(r"csrftoken=(\w+)")


@dataclass
class Seen:
    """What all people saw together: how long answers took, which they were, whose act was answered “yes”."""

    acts: list[float] = field(default_factory=list)
    lists: list[float] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    taken: list[tuple[str, int, int]] = field(default_factory=list)


@dataclass
class Person:
    """One session, with the page of the pool open."""

    pk: int
    port: int
    cookie: str
    leads: list[int]
    seen: Seen
    pages: bool
    dice: random.Random
    claimed: list[int] = field(default_factory=list)

    def come(self) -> None:
        """Open the page, and take the token from it."""
        self.line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        answer, _ = asked(self.line, "GET", "/queue/?tab=pool", {"Cookie": self.cookie})
        found = TOKEN.search(answer.headers.get("Set-Cookie") or "")
        if answer.status != http.HTTPStatus.OK or found is None:
            raise SystemExit(f"the page answered {answer.status}, without a token")
        self.said = {
            "Cookie": f"{self.cookie}; csrftoken={found[1]}",
            "X-CSRFToken": found[1],
            "HX-Request": "true",
            "HX-Current-URL": f"http://127.0.0.1:{self.port}/queue/?tab=pool",
        }

    def stay(self, until: float) -> None:
        """Act and ask at moments of their own until the time is over."""
        act_at = time.time() + self.dice.uniform(0, THINKS[1])
        ask_at = time.time() + self.dice.uniform(0, ASKED_EVERY) if self.pages else until
        while (due := min(act_at, ask_at)) < until:
            time.sleep(max(0.0, due - time.time()))
            if act_at <= ask_at:
                self.act()
                if self.pages:
                    self._ask("/queue/fresh/?tab=pool")
                act_at = time.time() + self.dice.uniform(*THINKS)
            else:
                since = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - ASKED_EVERY))
                self._ask(f"/queue/poll/?{urlencode({'tab': 'pool', 'since': since, 'new': 0})}")
                ask_at = max(time.time(), ask_at + ASKED_EVERY)

    def act(self) -> None:
        """Accept what was claimed before, else accept or claim any lead of the pool."""
        if self.claimed:
            self._do("accept", self.claimed.pop())
        elif self.leads:
            lead = self.leads.pop(self.dice.randrange(len(self.leads)))
            self._do(self.dice.choice(("accept", "claim")), lead)

    def _do(self, what: str, handoff: int) -> None:
        start = time.time()
        answer, _ = asked(self.line, "POST", f"/queue/{handoff}/{what}/", self.said, "")
        self.seen.acts.append(time.time() - start)
        self.seen.codes[answer.status] += 1
        if answer.status == http.HTTPStatus.OK:
            self.seen.taken.append((what, handoff, self.pk))
            self.claimed += [handoff] if what == "claim" else []

    def _ask(self, path: str) -> None:
        start = time.time()
        asked(self.line, "GET", path, self.said)
        self.seen.lists.append(time.time() - start)


def crowd() -> Result:
    """The row of the table, from an installation beside the bench's own base."""
    found = measured("bench.crowd")
    name = f"{PEOPLE} people accept from one pool, answer p95 / 200 ms"
    return result(name, found["acts"], found["p95"], BUDGET, 1.0)


def main() -> None:
    """Start, measure, tell."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--people", type=int, default=PEOPLE)
    words.add_argument("--seconds", type=float, default=SECONDS)
    words.add_argument("--leads", type=int, default=LEADS)
    words.add_argument("--pages", action="store_true")
    words.add_argument("--burst", action="store_true")
    words.add_argument("--json", action="store_true")
    given = words.parse_args()
    with running() as house:
        seconds = 0.0 if given.burst else given.seconds
        found = _measured(house, given.people, given.leads, seconds, given.pages)
    say(json.dumps(found) if given.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


def _measured(house: Installation, count: int, leads: int, seconds: float, pages: bool) -> dict[str, Any]:
    """`seconds` 0: all at once."""
    people, pool = _lay_down(count, leads)
    seen = Seen()
    crowd = [
        Person(one.pk, house.port, cookie_of(one), list(pool), seen, pages, random.Random(one.pk))  # noqa: S311
        for one in people
    ]
    for one in crowd:
        one.come()
    before, until = used_by(house), time.time() + seconds
    turn = threading.Barrier(count)

    def run(one: Person) -> None:
        turn.wait()
        if seconds:
            one.stay(until)
        else:
            one.act()

    threads = [threading.Thread(target=run, args=(one,)) for one in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _check(seen, pool)
    return {
        "people": count,
        "acts": len(seen.acts),
        "accepted": sum(what == "accept" for what, _, _ in seen.taken),
        "claimed": sum(what == "claim" for what, _, _ in seen.taken),
        "somebody_was_quicker": seen.codes[http.HTTPStatus.CONFLICT],
        "answers": {int(code): n for code, n in sorted(seen.codes.items())},
        "p50": share(seen.acts, 0.5),
        "p95": share(seen.acts, 0.95),
        "slowest": share(seen.acts, 1.0),
        "list_p95": share(seen.lists, 0.95),
        "processor_ms_an_act": each(before, used_by(house), len(seen.acts)),
    }


def _check(seen: Seen, pool: Sequence[int]) -> None:
    """No lead has two owners or two acceptances, and each is whose act was answered “yes”."""
    from handoff.models import Handoff, State, Transition

    told: dict[int, set[int]] = {}
    for _, handoff, person in seen.taken:
        told.setdefault(handoff, set()).add(person)
    accepted = Counter(handoff for what, handoff, _ in seen.taken if what == "accept")
    acts = Transition.objects.filter(handoff__in=pool)
    written = Counter(acts.filter(action="accept").values_list("handoff", flat=True))
    owners = dict(Handoff.objects.filter(pk__in=pool, owner__isnull=False).values_list("pk", "owner"))
    states = set(Handoff.objects.filter(pk__in=accepted).values_list("state", flat=True))
    wrong = [f"{n} acceptances of {pk}" for pk, n in written.items() if n > 1]
    wrong += [f"{code} was answered" for code in seen.codes if code not in ANSWERS]
    wrong += [f"{pk} was promised to {len(who)}" for pk, who in told.items() if len(who) > 1]
    if wrong or written != accepted or {pk: {who} for pk, who in owners.items()} != told:
        raise SystemExit(f"Not what was answered: {wrong or 'the rows say otherwise'}.")
    if states - {State.ACCEPTED}:
        raise SystemExit(f"Accepted leads are {states}.")


def _lay_down(count: int, leads: int) -> tuple[list[Any], list[int]]:
    """So many people of one team, and the offers of its pool."""
    from bench.clocks import POLICY
    from bench.loading import agreement
    from handoff import calendars, promises
    from handoff.models import Handoff, State, Transition
    from leadflow import clock
    from leadflow.accounts.actors import SYSTEM
    from leadflow.accounts.models import Role, Team, User
    from leadflow.leads import intake

    agreement()
    team = Team.objects.create(name="Bench", tz="Europe/Berlin", kind=Team.Kind.SALES)
    people = [
        User.objects.create(email=f"rep{n}@bench.example", name=f"Rep {n}", role=Role.REP, team=team)
        for n in range(count)
    ]
    calendars.ensure_calendar(team)
    rows = [
        {"email": f"lead{n}@firm{n}.example", "name": f"Lead {n}", "company": f"Firm {n}"}
        for n in range(leads)
    ]
    made = intake.upsert_leads(rows, source="bench", actor=SYSTEM)
    at = clock.now() - timedelta(minutes=1)
    offers = []
    for lead in made.accepted:
        row = Handoff(
            lead_id=lead,
            kind=Handoff.Kind.BAR,
            team=team,
            pool=True,
            offered_at=at,
            first_offered_at=at,
            frozen={"sla": POLICY.frozen()},
            changed_at=at,
        )
        promises.start_offer(row, calendars.AROUND_THE_CLOCK, POLICY, at)
        offers.append(row)
    Handoff.objects.bulk_create(offers)
    Transition.objects.bulk_create(
        [Transition(handoff=row, action="open", to_state=State.OFFERED, at=at) for row in offers]
    )
    return people, [row.pk for row in offers]


if __name__ == "__main__":
    main()
