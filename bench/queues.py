"""Two hundred open queues on one small server: what they cost while nothing happens, and while much does.

`python -m bench.queues URL [--people 200] [--seconds 60] [--every 4]` with the DATABASE_URL of that server.
Each person has a session and a list of their own; each asks as the page does, at its own moment. While they
ask, leads are given from one to another (`--moves` a second), so that some answers carry news. Printed: how
many questions, how many were quiet, how long they took, what the server's processes used.
"""

import argparse
import http.client
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import django

TIMEOUT = 30


@dataclass
class Taken:
    """What all people saw together."""

    times: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, code: int, seconds: float) -> None:
        """Note one answer."""
        with self.lock:
            self.codes[code] += 1
            if code == http.HTTPStatus.NO_CONTENT:
                self.quiet.append(seconds)
            elif code == http.HTTPStatus.OK:
                self.times.append(seconds)


def part(times: Sequence[float], share: float) -> float:
    """The time that `share` of the answers stayed below, in milliseconds."""
    return round(1000 * sorted(times)[int(share * (len(times) - 1))], 1) if times else 0.0


def ask(url: str, cookie: str, question: str, every: float, until: float, taken: Taken) -> None:
    """One open queue: a question every so often over a connection that stays open."""
    place = urlsplit(url)
    line = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=TIMEOUT)
    time.sleep(random.uniform(0, every))  # noqa: S311 - nobody guesses it, the pages only spread
    while time.time() < until:
        start = time.time()
        try:
            status = _answered(line, question, cookie)
            taken.add(status, time.time() - start)
        except (OSError, http.client.HTTPException):
            line.close()
            taken.add(0, time.time() - start)
        time.sleep(max(0.0, start + every - time.time()))


def _answered(line: http.client.HTTPConnection, question: str, cookie: str) -> int:
    """The status; a connection that the server closed meanwhile is opened again, as browsers do."""
    said = {"Cookie": cookie, "HX-Request": "true"}
    try:
        line.request("GET", question, headers=said)
        answer = line.getresponse()
    except http.client.RemoteDisconnected:
        line.close()
        line.request("GET", question, headers=said)
        answer = line.getresponse()
    answer.read()
    return answer.status


def people(count: int) -> list[Any]:
    """So many people of sales, those with the most open leads first."""
    from django.db.models import Count, Q

    from handoff.models import OPEN
    from leadflow.accounts.models import SALES, User

    busy = Count("handoffs", filter=Q(handoffs__state__in=[s.value for s in OPEN]))
    return list(
        User.objects.filter(role__in=SALES, is_active=True).annotate(n=busy).order_by("-n", "pk")[:count]
    )


def question_of(user: Any) -> str:
    """What this person's page asks: every row that it shows, with its stamp."""
    from handoff import queue
    from leadflow import clock

    now = clock.now()
    rows = queue.rows(user, "mine", now)
    said = [("tab", "mine"), ("since", now.isoformat()), ("new", "0")]
    return f"/queue/poll/?{urlencode([*said, *(('row', queue.stamp(row)) for row in rows)])}"


def cookie_of(user: Any) -> str:
    """A session of this person."""
    from django.test import Client

    client = Client()
    client.force_login(user, backend="leadflow.accounts.backends.PeopleBackend")
    return f"sessionid={client.cookies['sessionid'].value}"


def move(users: Sequence[Any], each_second: float, until: float, done: list[int]) -> None:
    """Give leads from one to another, so that there is news."""
    from django.db import connection

    from handoff import machine
    from handoff.models import Handoff, State
    from leadflow.accounts.actors import SYSTEM

    ids = list(
        Handoff.objects.filter(owner__in=users, state=State.OFFERED).values_list("pk", flat=True)[:2000]
    )
    while ids and each_second and time.time() < until:
        to = random.choice(users)  # noqa: S311
        machine.apply("reassign", random.choice(ids), SYSTEM, to=to, reason="bench")  # noqa: S311
        done.append(1)
        time.sleep(1 / each_second)
    connection.close()


def used(pids: Sequence[int]) -> float:
    """Seconds of processor that these processes have used."""
    tick = os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        parts = stat.rpartition(")")[2].split()
        total += int(parts[11]) + int(parts[12])
    return total / tick


def main() -> None:
    """Ask, and print what it cost."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("url")
    words.add_argument("--people", type=int, default=200)
    words.add_argument("--seconds", type=float, default=60)
    words.add_argument("--every", type=float, default=4)
    words.add_argument("--moves", type=float, default=1)
    words.add_argument("--pids", type=int, nargs="*", default=[])
    given = words.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "leadflow.settings")
    django.setup()
    users = people(given.people)
    asking = [(cookie_of(user), question_of(user)) for user in users]
    taken, done, before = Taken(), list[int](), used(given.pids)
    until = time.time() + given.seconds
    threads = [
        threading.Thread(target=ask, args=(given.url, cookie, question, given.every, until, taken))
        for cookie, question in asking
    ]
    threads.append(threading.Thread(target=move, args=(users, given.moves, until, done)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = taken.quiet + taken.times
    per_second = len(everything) / given.seconds
    sys.stdout.write(
        f"{len(users)} queues, {per_second:.0f} questions a second, {len(done)} leads moved meanwhile\n"
        f"quiet: {len(taken.quiet)}, median {part(taken.quiet, 0.5)} ms, p95 {part(taken.quiet, 0.95)} ms\n"
        f"news: {len(taken.times)}, median {part(taken.times, 0.5)} ms, p95 {part(taken.times, 0.95)} ms\n"
        f"answers: {dict(sorted(taken.codes.items()))}\n"
    )
    if given.pids:
        busy = used(given.pids) - before
        share = 100 * busy / given.seconds
        each = 1000 * busy / max(1, len(everything))
        sys.stdout.write(f"server: {share:.0f}% of one core, {each:.1f} ms of processor a question\n")


if __name__ == "__main__":
    main()
