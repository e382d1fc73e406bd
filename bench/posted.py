"""From a post to the rep's queue: what a demo request takes that comes in while a hundred a second do.

`python -m bench.posted [--each-second 100] [--seconds 20] [--share 1.0]` starts an installation of its own
(`manage.py up` in a folder that is thrown away), makes leads and reps and posts one demo request for each
lead over the API, while the queues of the reps are open and ask what is new as pages do. A lead has arrived
when what those questions read, the rows that its rep sees, has it; how long such a question is answered is
told beside it.

`--share 0.1`: one post in ten is a demo request of a lead that had none; the others say what leads do all
day, looked at a page or opened a mail, and each has its lead scored anew. The time is that of the demo
requests.
"""

import argparse
import http.client
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from bench.live import asked, each, measured, running, share, used_by
from bench.queues import TIMEOUT, cookie_of
from bench.run import Result, result, say
from tests.house.installation import Installation, wait_until

EACH_SECOND, SECONDS = 100, 20
REPS, LINES = 5, 24
# Seconds between two questions of one open queue, and between two looks for what has arrived.
ASKED_EVERY, LOOKED_EVERY = 4.0, 0.05
# Rows that are looked at again: what was numbered first may be committed later.
OVERLAP = 200
# What is not there so long after the last post never comes.
LOST = 60
DEMO = "demo_requested"
# What leads do all day, of which nothing has to arrive; and how many leads do it.
DAILY, DAILY_LEADS = ("page_view", "email_opened"), 1_000
# The share of demo requests in the two rows of the table, and how they are called.
SHARES = {1.0: "each a demo request", 0.1: "one in ten a demo request"}
# The budget: the time that 95 of 100 leads take at most.
BUDGET = 1.0


@dataclass
class Seen:
    """When each lead was posted and when it had arrived; how long posts and questions took to be answered."""

    posted: dict[int, float] = field(default_factory=dict)
    arrived: dict[int, float] = field(default_factory=dict)
    answered: list[float] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    def came(self) -> int:
        """How many of those that were posted have arrived."""
        return sum(lead in self.arrived for lead in self.posted)


def posted() -> list[Result]:
    """The rows of the table, each from an installation beside the bench's own base."""
    return [_row(of_demos, words) for of_demos, words in SHARES.items()]


def _row(of_demos: float, words: str) -> Result:
    found = measured("bench.posted", "--share", str(of_demos))
    name = f"{EACH_SECOND} posts a second, {words}: in the queue, p95 / one second"
    return result(name, found["posts"], found["p95"], BUDGET, 1.0)


def main() -> None:
    """Start, measure, tell."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--each-second", type=float, default=EACH_SECOND)
    words.add_argument("--seconds", type=float, default=SECONDS)
    words.add_argument("--share", type=float, default=1.0)
    words.add_argument("--json", action="store_true")
    given = words.parse_args()
    with running() as house:
        found = _measured(house, int(given.each_second * given.seconds), given.each_second, given.share)
    say(json.dumps(found) if given.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


def _measured(house: Installation, count: int, each_second: float, of_demos: float) -> dict[str, Any]:
    every = round(1 / of_demos)
    leads, reps, secret = _made(count // every + (DAILY_LEADS if every > 1 else 0))
    acts = _acts(leads, count, every)
    asking = sum(kind == DEMO for kind, _ in acts)
    seen, before = Seen(), used_by(house)
    over = threading.Event()
    watchers = [threading.Thread(target=_look, args=(reps, seen, over))]
    watchers += [threading.Thread(target=_ask, args=(house.port, cookie_of(rep), seen, over)) for rep in reps]
    start = time.time() + 1
    lines = [
        threading.Thread(target=_post, args=(house.port, secret, acts[n::LINES], start, n, each_second, seen))
        for n in range(LINES)
    ]
    for thread in (*watchers, *lines):
        thread.start()
    for thread in lines:
        thread.join()
    ended = time.time()
    wait_until(lambda: seen.came() >= asking, LOST, lambda: f"{seen.came()} of {asking} came")
    over.set()
    for thread in watchers:
        thread.join()
    took = [seen.arrived[lead] - at for lead, at in seen.posted.items()]
    return {
        "posts": count,
        "demo_requests": asking,
        "refused": seen.refused,
        "posts_a_second": round(count / (ended - start), 1),
        "post_answered_p50": share(seen.answered, 0.5),
        "post_answered_p95": share(seen.answered, 0.95),
        "queue_answered_p95": share(seen.asked, 0.95),
        "p50": share(took, 0.5),
        "p95": share(took, 0.95),
        "slowest": round(max(took), 3),
        "processor_ms_a_post": each(before, used_by(house), count),
    }


def _acts(leads: Sequence[int], count: int, every: int) -> list[tuple[str, int]]:
    """What is posted, in its order: (kind, lead). Every so manieth is a demo request of a lead of its own."""
    asking = iter(leads[: count // every])
    others = leads[count // every :]
    return [
        (DEMO, next(asking)) if n % every == 0 else (DAILY[n % len(DAILY)], others[n * 7 % len(others)])
        for n in range(count // every * every)
    ]


def _made(count: int) -> tuple[list[int], list[Any], str]:
    """So many leads, scored; the reps, and a key for the posts."""
    from bench.loading import agreement
    from handoff import calendars, routing
    from leadflow.accounts import keys
    from leadflow.accounts.actors import SYSTEM
    from leadflow.accounts.models import Role, Team, User
    from leadflow.leads import intake
    from leadflow.leads.models import LeadChanged

    agreement()
    team = Team.objects.create(name="Bench", tz="Europe/Berlin", kind=Team.Kind.SALES)
    reps = [
        User.objects.create(email=f"rep{n}@bench.example", name=f"Rep {n}", role=Role.REP, team=team)
        for n in range(REPS)
    ]
    calendars.ensure_calendar(team)
    routing.ensure_rules()
    rows = [
        {
            "email": f"lead{n}@firm{n}.example",
            "name": f"Lead {n}",
            "title": "Head of Fleet",
            "country": "Germany",
            "company": f"Firm {n}",
            "employees": 200,
        }
        for n in range(count)
    ]
    made = intake.upsert_leads(rows, source="bench", actor=SYSTEM)
    wait_until(lambda: not LeadChanged.objects.exists(), LOST)
    return made.accepted, reps, keys.create_key(SYSTEM, "bench", ["activities:write"])[1]


def _post(
    port: int,
    secret: str,
    acts: Sequence[tuple[str, int]],
    start: float,
    place: int,
    each_second: float,
    seen: Seen,
) -> None:
    """Every so manieth act, each at its own moment whatever became of the one before."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    said = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    for n, (kind, lead) in enumerate(acts):
        due = start + (n * LINES + place) / each_second
        time.sleep(max(0.0, due - time.time()))
        if kind == DEMO:
            seen.posted[lead] = due
        row = {
            "source": "bench",
            "external_id": f"{kind}-{n}-{lead}",
            "kind": kind,
            "lead_id": lead,
            "occurred_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        status = asked(line, "POST", "/api/v1/activities/", said, json.dumps(row))[0].status
        seen.answered.append(time.time() - due)
        if status != http.HTTPStatus.ACCEPTED:
            seen.refused.append(status)


def _ask(port: int, cookie: str, seen: Seen, over: threading.Event) -> None:
    """The open queue of one rep, who looks at what is new each time."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    said = {"Cookie": cookie, "HX-Request": "true"}
    while True:
        since = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        if over.wait(ASKED_EVERY):
            return
        start = time.time()
        asked(line, "GET", f"/queue/poll/?{urlencode({'tab': 'mine', 'since': since, 'new': 0})}", said)
        seen.asked.append(time.time() - start)


def _look(reps: Sequence[Any], seen: Seen, over: threading.Event) -> None:
    """Note what the reps see, as soon as they do."""
    from django.db import connection
    from django.db.models import Q

    from handoff import queue
    from handoff.models import Handoff

    theirs, last = Q(), 0
    for rep in reps:
        theirs |= queue.visible(rep)
    while not over.wait(LOOKED_EVERY):
        rows = Handoff.objects.filter(theirs, owner__in=reps, pk__gt=last - OVERLAP)
        for pk, lead in rows.values_list("pk", "lead_id"):
            seen.arrived.setdefault(lead, time.time())
            last = max(last, pk)
    connection.close()


if __name__ == "__main__":
    main()
