"""A backup is the whole database, and a restore is all or nothing."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from leadflow import embedded
from tests.house.installation import manage

pytestmark = pytest.mark.processes


@pytest.fixture
def houses(tmp_path) -> Iterator[tuple[Path, Path]]:
    """Two databases; the commands attach to them."""
    folders = tmp_path / "first", tmp_path / "second house"
    servers = [embedded.Servers(folder, durable=False).start(broker=False) for folder in folders]
    yield folders
    for each in servers:
        each.stop()


def _names(data: Path) -> set[str]:
    with closing(embedded.connect(data)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT name FROM accounts_team")
        return {name for (name,) in cursor.fetchall()}


def _add(data: Path, name: str) -> None:
    with closing(embedded.connect(data)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO accounts_team (name, tz, kind) VALUES (%s, 'UTC', 'sales')", [name])


def test_a_backup_comes_back_as_it_was_and_a_broken_one_changes_nothing(houses, tmp_path):
    first, second = houses
    file = tmp_path / "monday.sql.gz"
    assert manage(first, "migrate", "-v0").returncode == 0
    _add(first, "Zoë's")
    done = manage(first, "backup", str(file))
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600

    # Into a new house …
    done = manage(second, "restore", str(file))
    assert done.returncode == 0, done.stderr
    assert _names(second) == {"Zoë's"}

    # … over a house that has moved on, …
    _add(first, "Later")
    assert manage(first, "restore", str(file), "--yes").returncode == 0
    assert _names(first) == {"Zoë's"}

    # … and not at all from half a file.
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) * 2 // 3])
    _add(first, "Later")
    done = manage(first, "restore", str(file), "--yes")
    assert (done.returncode, "is not a whole backup" in done.stderr) == (1, True)
    assert _names(first) == {"Zoë's", "Later"}
