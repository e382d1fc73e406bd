"""Everything is killed at random while leads come in and reps answer; at the end the books balance.

A real installation (`manage.py up`) under load through its own API; web, workers, beat, broker and database
are killed with SIGKILL, the broker stands still for a while, more workers join, one with a wrong clock.
`make faults` does it with 2,000 leads; here with fewer, so that it fits among the other tests.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from leadflow import embedded
from tests.house.installation import ROOT, Installation, alive, descendants, environment, manage, wait_until

pytestmark = pytest.mark.processes

LEADS = int(os.environ.get("FAULTS_LEADS", "60"))
# Seconds between two kills, and how long the broker stands still.
PAUSE = (1.0, 3.0) if LEADS < 500 else (2.0, 9.0)
STANDS_STILL = 5 if LEADS < 500 else 60
BATCH = 10
# The run goes on until so many things were killed; where starting again takes longer than the next kill, no
# more than so many, or nothing would ever be done.
KILLS, MOST = (8, 24) if LEADS < 500 else (24, 200)
VICTIMS = {
    "web": "gunicorn",
    "flow worker": "-Q flow",
    "clock worker": "-Q clock",
    "bulk worker": "-Q bulk",
    "beat": "leadflow beat",
    "broker": "valkey-server",
    "database": "postgres -D",
}
# Two and a half minutes behind, for every way to ask for the time.
WRONG_CLOCK = """
from datetime import UTC, datetime, timedelta
import time_machine
time_machine.travel(datetime.now(UTC) - timedelta(seconds=150), tick=True).start()
"""
HOUSE = """
from datetime import timedelta
from leadflow import clock
from leadflow.accounts import keys
from leadflow.accounts.actors import person as person_of
from leadflow.accounts.models import Organisation, Role, Team, User
from scoring import agreements

Organisation.objects.update_or_create(pk=1, defaults={"name": "Nordfracht", "tz": "UTC"})
team = Team.objects.create(name="North", kind=Team.Kind.SALES, tz="UTC")

def person(name, role):
    return User.objects.create(email=f"{name}@example.com", name=name, role=role, team=team, password="!")

reps = [person(f"rep{n}", Role.REP) for n in range(5)]
noah, rosa = person("noah", Role.MARKETING_MANAGER), person("rosa", Role.SALES_MANAGER)
agreements.install_default(person_marketing=noah, person_sales=rosa)
print("KEY", keys.create_key(person_of(rosa), "faults", list(keys.SCOPES))[1])
"""


class House:
    """The installation as its API shows it; whatever fails is asked again until it answers."""

    def __init__(self, installation: Installation, key: str) -> None:
        self.at, self.key = f"http://127.0.0.1:{installation.port}/api/v1", key
        self.answers: Counter[int] = Counter()
        self.over = threading.Event()

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON; asks again while nobody answers or the house is broken."""
        while not self.over.is_set():
            request = urllib.request.Request(
                self.at + path,
                data=None if body is None else json.dumps(body).encode(),
                headers={
                    "Authorization": f"Bearer {self.key}",
                    "Content-Type": "application/json",
                    **{name.replace("_", "-"): value for name, value in headers.items()},
                },
            )
            status, found = self._once(request)
            self.answers[status] += 1
            if status and status < 500:
                return status, found
            time.sleep(0.3)
        return 0, {}

    def _once(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else {}
        except (OSError, ValueError):
            return 0, {}


def feed(house: House) -> None:
    """Bring in leads that ask for a demo at once; what was not confirmed is sent again."""
    for first in range(0, LEADS, BATCH):
        acts = [
            {
                "source": "site",
                "external_id": f"act{n}",
                "kind": "demo_requested",
                "email": f"lead{n}@customer{n}.example",
                "occurred_at": datetime.now(UTC).isoformat(),
            }
            for n in range(first, min(LEADS, first + BATCH))
        ]
        status, said = house.ask("/activities/", acts)
        assert status == 202, (status, said)
        assert not said["rejected"], said["rejected"]


def answer(house: House, until: Callable[[], bool]) -> None:
    """Take every second lead and win it, reject the others, as reps do."""
    while not until() and not house.over.is_set():
        _, page = house.ask("/handoffs/?state=offered&state=accepted&limit=20")
        for row in page.get("results", []):
            pk = row["id"]
            if pk % 2:
                house.ask(f"/handoffs/{pk}/reject/", {"reason_key": "1"}, Idempotency_Key=f"s{pk}")
            else:
                house.ask(f"/handoffs/{pk}/accept/", {}, Idempotency_Key=f"a{pk}")
                house.ask(f"/handoffs/{pk}/win/", {"amount": "100"}, Idempotency_Key=f"w{pk}")
        time.sleep(0.2)


def break_things(installation: Installation, over: Callable[[], bool], broken: Counter[str]) -> None:
    """Kill something every few seconds; the first time the broker only stands still."""
    dice, line = random.Random(4), list[str]()
    assert installation.process is not None
    while not over():
        time.sleep(dice.uniform(*PAUSE))
        # Everything has its turn, in another order each time.
        line = line or dice.sample(list(VICTIMS), len(VICTIMS))
        what = line.pop()
        found = _parts(installation, VICTIMS[what])
        if not found:
            continue
        if what == "broker" and not broken["broker stopped"]:
            broken["broker stopped"] += 1
            _stand_still(found[0])
        else:
            with suppress(ProcessLookupError):
                os.kill(found[0], signal.SIGKILL)
                broken[what] += 1


def _parts(installation: Installation, words: str) -> list[int]:
    assert installation.process is not None
    return [pid for pid, line in descendants(installation.process.pid, depth=1).items() if words in line]


def _stand_still(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(STANDS_STILL)
        if alive(pid):
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """A house of its own, with everything on."""
    made = Installation(tmp_path / "data").up()
    try:
        made.await_ready()
        yield made
    finally:
        made.kill()


@pytest.fixture
def more_workers(installation: Installation, tmp_path: Path) -> Iterator[None]:
    """Three more workers on the queues; one of them has a wrong clock. Who dies is started again."""
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "sitecustomize.py").write_text(WRONG_CLOCK)
    paths = [str(ROOT), str(ROOT), f"{tmp_path / 'late'}{os.pathsep}{ROOT}"]
    started: list[subprocess.Popen[bytes]] = []
    log = (tmp_path / "more.log").open("ab")
    for n, path in enumerate(paths):
        words = f"-m celery -A leadflow worker -Q flow,clock -P solo -l ERROR --without-mingle -n more{n}@%h"
        started.append(
            subprocess.Popen(
                [sys.executable, *words.split()],
                cwd=ROOT,
                env=environment(installation.data, PYTHONPATH=path, CELERY_SKIP_CHECKS="true"),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        )
    yield
    for process in started:
        process.kill()
        process.wait()


def _number(installation: Installation, statement: str) -> int:
    """A figure out of the installation's own database; -1 while it is down."""
    try:
        with closing(embedded.connect(installation.data)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return int(cursor.fetchone()[0])
    except Exception:
        return -1


OPEN = "SELECT count(*) FROM handoff_handoff WHERE state IN ('offered', 'accepted', 'working')"
CLOSED = "SELECT count(*) FROM handoff_handoff WHERE state IN ('rejected', 'won')"
WAITING = (
    "SELECT (SELECT count(*) FROM leads_leadchanged)"
    " + (SELECT count(*) FROM scoring_crossing WHERE handled_at IS NULL)"
    " + (SELECT count(*) FROM leads_customersignal)"
)
TWICE = {
    "handoffs of one lead": "SELECT count(*) - count(DISTINCT lead_id) FROM handoff_handoff",
    "acts of one activity": "SELECT count(*) - count(DISTINCT (source, external_id)) FROM leads_activity",
    "acceptances": (
        "SELECT count(*) - count(DISTINCT handoff_id) FROM handoff_transition WHERE action = 'accept'"
    ),
    "wins": "SELECT count(*) - count(DISTINCT lead_id) FROM leads_outcome WHERE kind = 'won'",
    "answers": "SELECT count(*) - count(DISTINCT (handoff_id, kind)) FROM leads_answer",
}


def test_whatever_is_killed_nothing_is_lost_and_nothing_happens_twice(installation, more_workers, capsys):
    made = manage(installation.data, "shell", "-c", HOUSE)
    key = made.stdout.rpartition("KEY ")[2].strip()
    assert made.returncode == 0, made.stderr[-2000:]
    house, broken, began = House(installation, key), Counter(), time.monotonic()

    def all_answered() -> bool:
        return _number(installation, CLOSED) >= LEADS

    def enough() -> bool:
        kills = sum(broken.values())
        return kills >= MOST or (kills >= KILLS and not feeder.is_alive())

    feeder = threading.Thread(target=feed, args=[house])
    reps = threading.Thread(target=answer, args=[house, all_answered])
    chaos = threading.Thread(
        target=break_things,
        args=[installation, enough, broken],
    )
    for thread in (feeder, reps, chaos):
        thread.start()
    try:
        for thread in (feeder, chaos):
            thread.join(60 + LEADS)
        wait_until(all_answered, 120 + LEADS, installation.logs)
    finally:
        house.over.set()
        reps.join(60)
    installation.await_ready()
    wait_until(lambda: _number(installation, WAITING) == 0, 90, installation.logs)
    twice = {what: _number(installation, statement) for what, statement in TWICE.items()}
    audit = manage(installation.data, "audit", timeout=300)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{LEADS} leads in {time.monotonic() - began:.0f} s; killed: {dict(broken)};"
            f" answers: {dict(house.answers)}; twice: {twice}\n"
        )
    assert sum(broken.values()) >= KILLS
    assert _number(installation, "SELECT count(*) FROM leads_lead") == LEADS
    assert _number(installation, CLOSED) == LEADS
    assert _number(installation, OPEN) == 0
    assert set(twice.values()) == {0}
    assert audit.returncode == 0, audit.stdout + audit.stderr
