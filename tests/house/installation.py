"""A real `manage.py up` in a folder of its own, for the tests of processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# What would point the installation at the servers of the test run.
OURS = (
    "DATABASE_URL",
    "REDIS_URL",
    "LEADFLOW_DATA",
    "SECRET_KEY",
    "PORT",
    "DJANGO_SETTINGS_MODULE",
    # Set for the browser tests, whose thread runs an event loop.
    "DJANGO_ALLOW_ASYNC_UNSAFE",
)


def environment(data: Path, **more: str) -> dict[str, str]:
    """The environment of a fresh terminal, with this data folder."""
    plain = {name: value for name, value in os.environ.items() if name not in OURS and "PYTEST" not in name}
    return plain | {"LEADFLOW_DATA": str(data)} | more


def spare_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def manage(data: Path, *words: str, timeout: float = 120, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run one command of manage.py to its end."""
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *words],
        env=environment(data, **more),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@dataclass
class Installation:
    data: Path
    port: int = field(default_factory=spare_port)
    more: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    def up(self) -> "Installation":
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "up", "--no-demo", "--port", str(self.port)],
            env=environment(self.data, **self.more),
            cwd="/",
            stdout=self.talk.open("ab"),
            stderr=subprocess.STDOUT,
        )
        return self

    @property
    def talk(self) -> Path:
        """What `up` said."""
        return self.data.parent / "talk.txt"

    def said(self) -> str:
        return self.talk.read_text()

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a page; (0, {}) while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else {"text": text.decode()}
        except OSError:
            return 0, {}

    def await_ready(self, seconds: float = 240) -> None:
        wait_until(
            lambda: self.get("/readyz")[0] == 200, seconds, lambda: f"{self.get('/readyz')} {self.logs()}"
        )

    def children(self) -> dict[int, str]:
        """Every living descendant of `up`, by process id, with its command line."""
        assert self.process is not None
        return descendants(self.process.pid)

    def child(self, words: str) -> int:
        """The process of `up`'s own children whose command line has these words."""
        assert self.process is not None
        found = [pid for pid, line in descendants(self.process.pid, depth=1).items() if words in line]
        assert len(found) == 1, (words, self.children())
        return found[0]

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 90) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """Make an end, whatever state it is in; the kernel tells the children."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def logs(self) -> str:
        return "\n".join(
            f"--- {path.name}\n{path.read_text()[-1500:]}" for path in [self.talk, *self.data.glob("*.log")]
        )


def descendants(pid: int, depth: int = 9) -> dict[int, str]:
    found: dict[int, str] = {}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for word in task.read_text().split():
            child = int(word)
            try:
                found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
                if depth > 1:
                    found |= descendants(child, depth - 1)
            except OSError:
                continue
    return found


def alive(pid: int) -> bool:
    """Whether a process still runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(holds: Callable[[], bool], seconds: float, why: Callable[[], str] = lambda: "") -> None:
    """Look twice a second until it holds; fail with `why` after `seconds`."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds} s: {why()}")
        time.sleep(0.5)
