"""An installation of its own to ask over HTTP, and what its processes use meanwhile."""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.queues import used
from bench.run import ROOT
from tests.house.installation import Installation, environment

# The parts of an installation, by a word of their command lines.
PARTS = {
    "web": "gunicorn",
    "flow": "flow@",
    "clock": "clock@",
    "bulk": "bulk@",
    "broker": "valkey",
    "database": "postgres",
}

# Seconds of processor by (part, process).
Used = dict[tuple[str, int], float]


@contextmanager
def running() -> Iterator[Installation]:
    """`manage.py up` in a folder that is thrown away, and Django here on its database."""
    with tempfile.TemporaryDirectory(prefix="lf") as folder:
        # The bench itself wakes nobody; here it is what is measured.
        house = Installation(Path(folder) / "data", more={"NUDGES": "1"}).up()
        try:
            house.await_ready()
            os.environ |= {"LEADFLOW_DATA": str(house.data), "DJANGO_SETTINGS_MODULE": "leadflow.settings"}
            for name in ("DATABASE_URL", "REDIS_URL"):
                os.environ.pop(name, None)
            from leadflow import embedded

            embedded.ensure_database(["bench"])
            import django

            django.setup()
            yield house
        finally:
            house.stop(signal.SIGTERM)


def measured(module: str, *words: str) -> dict[str, Any]:
    """What such a bench finds, from a process of its own: it leaves the database that this one is on."""
    with tempfile.TemporaryDirectory(prefix="lf") as folder:
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-m", module, "--json", *words],
            env=environment(Path(folder)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def used_by(house: Installation) -> Used:
    """What each of the installation's processes has used so far; some come and go."""
    found = {}
    for pid, line in house.children().items():
        part_of = next((name for name, words in PARTS.items() if words in line), "other")
        with suppress(OSError):
            found[part_of, pid] = used([pid])
    return found


def each(before: Mapping[tuple[str, int], float], after: Used, count: int) -> dict[str, float]:
    """Milliseconds of processor for each of so many, by part and together."""
    parts: dict[str, float] = defaultdict(float)
    for (name, pid), seconds in after.items():
        spent = seconds - before.get((name, pid), 0)
        parts[name] += spent
        parts["all"] += spent
    return {name: round(1000 * seconds / max(1, count), 2) for name, seconds in sorted(parts.items())}


def asked(
    line: http.client.HTTPConnection,
    method: str,
    path: str,
    said: Mapping[str, str],
    body: str | None = None,
) -> tuple[http.client.HTTPResponse, str]:
    """Answer and text; a connection that the server closed meanwhile is opened again, as browsers do."""
    try:
        line.request(method, path, body, dict(said))
        answer = line.getresponse()
    except (http.client.RemoteDisconnected, ConnectionError):
        line.close()
        line.request(method, path, body, dict(said))
        answer = line.getresponse()
    return answer, answer.read().decode()


def share(times: Sequence[float], part: float) -> float:
    """The time, in seconds, that so great a part of them stayed below."""
    return round(sorted(times)[int(part * (len(times) - 1))], 4) if times else 0.0
