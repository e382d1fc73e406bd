"""From a post to the rep's queue: what a demo request takes that comes in while a hundred a second do.

`python -m bench.posted [--each-second 100] [--seconds 20]` starts an installation of its own (`manage.py up`
in a folder that is thrown away), makes leads and reps and posts one demo request for each lead over the API,
while the queues of the reps are open and ask what is new as pages do. A lead has arrived when what those
questions read, the rows that its rep sees, has it; how long such a question is answered is told beside it.
"""

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.queues import TIMEOUT, cookie_of, part, used
from bench.run import ROOT, Result, result, say
from tests.house.installation import Installation, environment, wait_until

EACH_SECOND, SECONDS = 100, 20
REPS, LINES = 5, 24
# Seconds between two questions of one open queue, and between two looks for what has arrived.
ASKED_EVERY, LOOKED_EVERY = 4.0, 0.05
# Rows that are looked at again: what was numbered first may be committed later.
OVERLAP = 200
# What is not there so long after the last post never comes.
LOST = 60
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


def posted() -> Result:
    """The row of the table, from an installation beside the bench's own base."""
    with tempfile.TemporaryDirectory(prefix="lf") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "bench.posted", "--json"],
            env=environment(Path(folder)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found = json.loads(done.stdout.splitlines()[-1])
    return result("posted, then in the queue, p95 / one second", found["posts"], found["p95"], BUDGET, 1.0)


def main() -> None:
    """Start, measure, tell."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--each-second", type=float, default=EACH_SECOND)
    words.add_argument("--seconds", type=float, default=SECONDS)
    words.add_argument("--json", action="store_true")
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="lf") as folder:
        # The bench itself wakes nobody; here it is what is measured.
        house = Installation(Path(folder) / "data", more={"NUDGES": "1"}).up()
        try:
            house.await_ready()
            found = _measured(house, int(given.each_second * given.seconds), given.each_second)
        finally:
            house.stop(signal.SIGTERM)
    say(json.dumps(found) if given.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


def _measured(house: Installation, count: int, each_second: float) -> dict[str, Any]:
    os.environ |= {"LEADFLOW_DATA": str(house.data), "DJANGO_SETTINGS_MODULE": "leadflow.settings"}
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    from leadflow import embedded

    embedded.ensure_database(["bench"])
    import django

    django.setup()
    leads, reps, secret = _made(count)
    seen, before = Seen(), _used(house)
    over = threading.Event()
    watchers = [threading.Thread(target=_look, args=(reps, seen, over))]
    watchers += [threading.Thread(target=_ask, args=(house.port, cookie_of(rep), seen, over)) for rep in reps]
    start = time.time() + 1
    lines = [
        threading.Thread(
            target=_post, args=(house.port, secret, leads[n::LINES], start, n, each_second, seen)
        )
        for n in range(LINES)
    ]
    for thread in (*watchers, *lines):
        thread.start()
    for thread in lines:
        thread.join()
    ended = time.time()
    wait_until(lambda: len(seen.arrived) >= count, LOST, lambda: f"{len(seen.arrived)} of {count} came")
    over.set()
    for thread in watchers:
        thread.join()
    took = [seen.arrived[lead] - at for lead, at in seen.posted.items()]
    return {
        "posts": count,
        "refused": seen.refused,
        "posts_a_second": round(count / (ended - start), 1),
        "post_answered_p50": part(seen.answered, 0.5) / 1000,
        "post_answered_p95": part(seen.answered, 0.95) / 1000,
        "queue_answered_p95": part(seen.asked, 0.95) / 1000,
        "p50": part(took, 0.5) / 1000,
        "p95": part(took, 0.95) / 1000,
        "slowest": round(max(took), 3),
        "processor_ms_a_post": round(
            1000 * sum(n - before.get(pid, 0) for pid, n in _used(house).items()) / count, 1
        ),
    }


def _used(house: Installation) -> dict[int, float]:
    """Seconds of processor of each of the installation's processes; some come and go."""
    found = {}
    for pid in house.children():
        with suppress(OSError):
            found[pid] = used([pid])
    return found


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
    port: int, secret: str, leads: Sequence[int], start: float, place: int, each_second: float, seen: Seen
) -> None:
    """Every so manieth lead, each at its own moment whatever became of the one before."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    said = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    for n, lead in enumerate(leads):
        due = start + (n * LINES + place) / each_second
        time.sleep(max(0.0, due - time.time()))
        seen.posted[lead] = due
        row = {
            "source": "bench",
            "external_id": f"demo-{lead}",
            "kind": "demo_requested",
            "lead_id": lead,
            "occurred_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        status = _asked(line, "POST", "/api/v1/activities/", said, json.dumps(row))[0]
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
        _asked(line, "GET", f"/queue/poll/?{urlencode({'tab': 'mine', 'since': since, 'new': 0})}", said)
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


def _asked(
    line: http.client.HTTPConnection, method: str, path: str, said: dict[str, str], body: str | None = None
) -> tuple[int, str]:
    """Status and text; a connection that the server closed meanwhile is opened again, as browsers do."""
    try:
        line.request(method, path, body, said)
        answer = line.getresponse()
    except (http.client.RemoteDisconnected, ConnectionError):
        line.close()
        line.request(method, path, body, said)
        answer = line.getresponse()
    return answer.status, answer.read().decode()


if __name__ == "__main__":
    main()
