"""Start everything: database, broker, web, workers and beat; stop everything on Ctrl-C."""

import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections

from leadflow import embedded
from leadflow.accounts.models import Team, User
from leadflow.embedded import Child, EmbeddedError
from leadflow.leads.models import Lead

# A child that lived this many seconds was healthy: its next death is met without delay.
HEALTHY = 30
LONGEST_PAUSE = 30.0
# How nice, as `nice` counts it, the worker of long jobs is to the others.
LESS_URGENT = 10


@dataclass
class Part:
    """A process of the installation, or a server of it, that must always run."""

    name: str
    start: Callable[[], Child | None]
    child: Child | None = None
    started: float = 0.0
    failures: int = 0

    def up(self) -> None:
        self.child = self.start()
        self.started = time.monotonic()

    def pause(self) -> float:
        """Seconds to wait before the next start; grows while it keeps dying young."""
        self.failures = 0 if time.monotonic() - self.started > HEALTHY else self.failures + 1
        return min(0.5 * 2**self.failures, LONGEST_PAUSE) if self.failures else 0.0


class Command(BaseCommand):
    help = "Start LeadFlow on this machine: database, broker, web, workers, beat. Ctrl-C stops all of it."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        demo = parser.add_mutually_exclusive_group()
        demo.add_argument(
            "--demo", action="store_true", default=None, dest="demo", help="load the demo company"
        )
        demo.add_argument("--no-demo", action="store_false", dest="demo", help="start with an empty house")
        parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 8000))

    def handle(self, *args: Any, demo: bool | None, port: int, **options: Any) -> None:
        self.port, self.data = port, Path(settings.LEADFLOW_DATA)
        self.servers = embedded.Servers(self.data)
        self.parts: list[Part] = []
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        try:
            self._start(demo)
            self._supervise()
        except KeyboardInterrupt:
            self._say("Stopping …")
        except EmbeddedError as error:
            raise SystemExit(str(error)) from None
        finally:
            self._stop()
        self._say("Stopped. `make run` goes on where this ended.")

    # --- start ------------------------------------------------------------------------------------------

    def _start(self, demo: bool | None) -> None:
        self.servers.hold()
        sockets = _listen(self.port)
        own_database, own_broker = not os.environ.get("DATABASE_URL"), not os.environ.get("REDIS_URL")
        self.servers.start(database=own_database, broker=own_broker, say=self._say)
        call_command("migrate", interactive=False, verbosity=0)
        self.check(databases=["default"])
        self._demo(demo)
        connections.close_all()
        for each in sockets:
            each.close()
        if own_database:
            self.parts.append(
                Part("database", self._restart_postgres, self.servers.postgres, time.monotonic())
            )
        if own_broker:
            self.parts.append(Part("broker", self._restart_valkey, self.servers.valkey, time.monotonic()))
        self.parts += [Part(name, self._starter(name, words)) for name, words in self._commands().items()]
        for part in self.parts:
            if part.child is None:
                part.up()

    def _demo(self, wanted: bool | None) -> None:
        """Load the demo company into an empty house; a load that was cut off is begun anew."""
        if wanted is None:
            # A database of somebody's own gets no demo unasked.
            wanted = not os.environ.get("DATABASE_URL")
        loading = self.data / "demo-loading"
        if loading.exists():
            call_command("flush", interactive=False, verbosity=0)
            loading.unlink()
        if not wanted or User.objects.exists() or Team.objects.exists() or Lead.objects.exists():
            return
        self._say("Loading the demo company (first start only) …")
        loading.touch()
        # A process of its own: its memory is given back, and a Ctrl-C need not wait for a long statement.
        child = embedded.spawn(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "simulate"],
            parting=signal.SIGKILL,
            env=self._environment(),
        )
        self.parts.append(Part("demo", lambda: None, child))
        if child.wait() != 0:
            raise EmbeddedError("The demo company could not be loaded; `make run DEMO=no` starts without it.")
        self.parts.clear()
        loading.unlink()

    def _commands(self) -> dict[str, list[str]]:
        """What runs, in the order of the start.

        `solo` workers: one process, no pool, because each queue is pulled in batches by set-based statements
        and gains nothing from a second hand on two cores. `clock` has four threads: a hanging webhook takes
        one, the deadlines use another.
        """
        celery = [sys.executable, "-m", "celery", "-A", "leadflow"]
        worker = [
            *celery,
            "worker",
            *"--without-gossip --without-mingle --without-heartbeat -l WARNING".split(),
        ]
        web = (
            f"--worker-class gthread --workers {min(os.cpu_count() or 1, 4)} --threads 8 --timeout 60 "
            "--graceful-timeout 5 --keep-alive 5 --preload --no-control-socket --log-level warning"
        )
        return {
            "web": [sys.executable, "-m", "gunicorn", "leadflow.wsgi", *_bind(self.port), *web.split()],
            "flow worker": [*worker, *"-Q flow -n flow@%h -P solo".split()],
            "clock worker": [*worker, *"-Q clock -n clock@%h -P threads -c 4".split()],
            "bulk worker": [*worker, *"-Q bulk -n bulk@%h -P solo".split()],
            "beat": [*celery, "beat", "-s", str(self.data / "beat"), "--pidfile=", "-l", "WARNING"],
        }

    def _starter(self, name: str, words: list[str]) -> Callable[[], Child]:
        def start() -> Child:
            child = embedded.spawn(
                words,
                parting=signal.SIGKILL if "worker" in name else signal.SIGTERM,
                log=self.data / f"{name.replace(' ', '-')}.log",
                cwd=settings.BASE_DIR,
                env=self._environment(),
            )
            if name == "bulk worker":
                _step_back(child)
            return child

        return start

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "LEADFLOW_DATA": str(self.data),
            "PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
            # `up` has run the system checks; each worker would spend two seconds on them again.
            "CELERY_SKIP_CHECKS": "true",
        }

    def _restart_postgres(self) -> Child | None:
        self.servers.start_postgres()
        return self.servers.postgres

    def _restart_valkey(self) -> Child | None:
        self.servers.start_valkey()
        return self.servers.valkey

    # --- run --------------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        """Say the address when all is ready; start again whatever dies, with growing pauses."""
        told = False
        due: dict[str, float] = {}
        ask_at, complain_at = 0.0, time.monotonic() + 60
        while True:
            for part in self.parts:
                self._look_after(part, due)
            if not told and time.monotonic() > ask_at:
                ask_at = time.monotonic() + 1
                ready, why = _ready(self.port)
                if ready:
                    told = True
                    self._say(f"LeadFlow is ready: http://localhost:{self.port}  (Ctrl-C stops it)")
                    self._say_who()
                elif time.monotonic() > complain_at:
                    complain_at += 600
                    self._say(f"Not ready yet ({why}); the logs are in {self.data}.")
            time.sleep(0.25)

    def _look_after(self, part: Part, due: dict[str, float]) -> None:
        now = time.monotonic()
        if part.child is not None and part.child.poll() is not None:
            code = part.child.returncode
            how = f"signal {-code}" if code < 0 else f"exit {code}"
            self._say(f"The {part.name} ended ({how}); starting it again.")
            part.child, due[part.name] = None, now + part.pause()
        if part.child is None and now >= due.get(part.name, 0.0):
            try:
                part.up()
            except EmbeddedError as error:
                # A killed PostgreSQL leaves children that need a moment to go.
                part.started = now
                due[part.name] = now + max(part.pause(), 0.5)
                if part.failures > 5:
                    raise
                self._say(str(error))

    def _say_who(self) -> None:
        if not User.objects.exists():
            self._say(f"Make the first admin with: {sys.executable} manage.py createsuperuser")
        connections.close_all()

    # --- stop -------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Web, beat, workers, broker, database: nobody loses what he leans on while he still stands."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        connections.close_all()
        mine = {part.name: part.child for part in self.parts}
        embedded.stop(mine.get("demo"), ask=signal.SIGTERM, patience=3)
        embedded.stop(mine.get("web"), ask=signal.SIGTERM, patience=7)
        embedded.stop(mine.get("beat"), ask=signal.SIGTERM, patience=5)
        workers = [child for name, child in mine.items() if name.endswith("worker")]
        # A worker finishes its present batch; a long chunk is cut off, rolls back and is claimed again.
        embedded.stop(*workers, ask=signal.SIGTERM, patience=8)
        self.servers.stop()

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _step_back(child: Child) -> None:
    """Let it work with what the others leave: an import waits for a lead, never a lead for an import."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, child.pid, LESS_URGENT)
    # Linux shares out by session first, and each of our processes has its own.
    with suppress(OSError):
        Path(f"/proc/{child.pid}/autogroup").write_text(str(LESS_URGENT), encoding="ascii")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _addresses() -> list[tuple[socket.AddressFamily, str]]:
    found = [(socket.AF_INET, "127.0.0.1")]
    if socket.has_ipv6:
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
                probe.bind(("::1", 0))
            found.append((socket.AF_INET6, "::1"))
        except OSError:
            pass
    return found


def _listen(port: int) -> list[socket.socket]:
    """Take the port early, so that it is refused at once and not after a minute. Raises EmbeddedError."""
    taken: list[socket.socket] = []
    for family, host in _addresses():
        each = socket.socket(family, socket.SOCK_STREAM)
        taken.append(each)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            each.bind((host, port))
            each.listen(1)
        except (OSError, OverflowError) as error:
            for other in taken:
                other.close()
            raise EmbeddedError(
                f"Port {port} cannot be used ({getattr(error, 'strerror', None) or error}): "
                f"choose another one with PORT={port + 1 if port < 65000 else 8000} make run."
            ) from None
    return taken


def _bind(port: int) -> list[str]:
    shown = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "[::1]"}
    return [word for family, _ in _addresses() for word in ("--bind", f"{shown[family]}:{port}")]


def _ready(port: int) -> tuple[bool, str]:
    """Whether /readyz says 200, and what it complains about otherwise."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return answer.status == 200, ""
    except urllib.error.HTTPError as error:
        try:
            return False, "; ".join(json.load(error)["late"])
        except (ValueError, KeyError):
            return False, f"the web server answers {error.code}"
    except OSError:
        return False, "the web server does not answer"
