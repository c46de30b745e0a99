"""Backup and restore of a lab's files: whole, of one moment, refused where something is damaged or would be lost."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from geodes_lab.policy.lab import Lab
from geodes_lab.policy.servers import Home
from hub.backup import archive, databases, restoring
from hub.backup.parts import BackupError, parts
from hub.backup.restoring import restore
from hub.backup.saving import save
from hub.installation import Installation
from tests.support.paths import TOP
from tests.support.servers import postgres


def silent(_: str) -> None:
    pass


@pytest.fixture
def here(tmp_path) -> Installation:
    """The state of a lab of one person, with a home and a folder that all share."""
    state, shared = tmp_path / "state", tmp_path / "shared"
    for folder in ("home/deep", "secrets", "services/usage", "services/catalogue/results/items"):
        (state / folder).mkdir(parents=True)
    shared.mkdir()
    state.chmod(0o700)
    for name, text in {
        "cookie_secret": "c", "secrets/crypt_keys": "k", "hub.log": "noise", "proxy.pid": "1", "home/deep/notes.txt": "mine",
        "services/news.json": "[]", "services/catalogue/results/items/one.parquet": "1",
        "services/catalogue/results/snapshot.json": json.dumps({"files": [{"path": "items/one.parquet"}]}),
    }.items():  # fmt: skip
        (state / name).write_text(text)
    (state / "secrets" / "crypt_keys").chmod(0o600)
    (state / "home" / "deep" / "notes.txt").chmod(0o640)
    (state / "home" / "link").symlink_to("deep/notes.txt")
    (shared / "result.tif").write_bytes(os.urandom(1000))
    for name in ("hub.sqlite", "services/usage/usage.sqlite"):
        with sqlite3.connect(state / name) as database:
            database.execute("pragma journal_mode=wal")
            database.execute("create table people (name text)")
            database.execute("insert into people values ('alice')")
        database.close()
    return Installation(replace(Lab(), home=Home(shared=str(shared))), tmp_path / "lab.yaml", state)


def seen(folder: Path) -> dict[str, tuple]:
    """All that is in a folder, with modes and contents; of a database its rows."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.suffix == ".sqlite":
            with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as database:
                found[name] = ("rows", database.execute("select * from people").fetchall())
            database.close()
        elif path.is_file() and not path.name.endswith(("-wal", "-shm")):
            found[name] = (path.stat().st_mode, path.read_bytes())
    return found


def taken(here: Installation, tmp_path: Path, **options) -> Path:
    return save(here, tmp_path / "backups", say=silent, **options)


def test_what_was_destroyed_is_there_again(here, tmp_path):
    backup = taken(here, tmp_path)
    assert {p.name for p in backup.iterdir()} == {
        "manifest.json",
        "databases.tar",
        "secrets.tar",
        "state.tar",
        "homes.tar",
        "shared.tar",
    }
    assert all(p.stat().st_mode & 0o077 == 0 for p in (backup, *backup.iterdir()))
    shared = Path(here.lab.home.shared)
    before, theirs = seen(here.state), seen(shared)
    shutil.rmtree(here.state)
    shutil.rmtree(shared)
    assert restore(here, backup, say=silent) == []
    for name in ("hub.log", "proxy.pid"):
        del before[name]
    assert seen(here.state) == before
    assert seen(shared) == theirs
    assert here.state.stat().st_mode & 0o777 == 0o700


def test_living_state_is_replaced_only_on_demand_and_kept_aside(here, tmp_path):
    backup = taken(here, tmp_path)
    before = seen(here.state)
    (here.state / "home" / "later.txt").write_text("later")
    (Path(here.lab.home.shared) / "later.tif").write_text("later")
    with sqlite3.connect(here.state / "hub.sqlite") as database:
        database.execute("insert into people values ('bob')")
    now = seen(tmp_path)
    with pytest.raises(BackupError, match=r"nothing was changed\. Add --replace"):
        restore(here, backup, say=silent)
    assert seen(tmp_path) == now
    database.close()
    aside = restore(here, backup, replace=True, say=silent)
    kept = seen(aside[1])
    assert kept["hub.sqlite"] == ("rows", [("alice",), ("bob",)])
    assert kept["home/later.txt"][1] == b"later"
    assert (Path(here.lab.home.shared) / "later.tif").exists(), "what came later into a shared folder stays"
    left = {k: v for k, v in seen(here.state).items() if not k.startswith(".")}
    assert left == before
    assert not [p for p in here.state.iterdir() if "restoring" in p.name]
    # The next backup has none of what was moved aside.
    assert not [
        n
        for n in subprocess.check_output(["tar", "-tf", taken(here, tmp_path / "b") / "state.tar"], text=True).split()
        if "replaced" in n
    ]


@pytest.mark.parametrize(
    "damage", ["cut", "changed", "missing", "no manifest", "manifest cut", "manifest changed", "unfinished"]
)
def test_backup_that_is_damaged_is_refused_before_anything_is_changed(here, tmp_path, damage):
    backup = taken(here, tmp_path)
    files = [p for p in backup.iterdir() if p.suffix == ".tar"]
    manifest = backup / "manifest.json"
    for file in files if damage in ("cut", "changed", "missing") else [manifest]:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(backup, copy)
        target = copy / file.name
        data = target.read_bytes()
        match damage:
            case "cut" | "manifest cut":
                target.write_bytes(data[: len(data) // 2])
            case "changed":
                target.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
            case "manifest changed":
                target.write_bytes(data.replace(b'"lab-', b'"root-').replace(b'"made": "2', b'"made": "1'))
            case "missing" | "no manifest":
                target.unlink()
            case "unfinished":
                target.rename(copy / "manifest.json.part")
        shutil.rmtree(here.state / "services", ignore_errors=True)
        now = seen(here.state)
        with pytest.raises(BackupError, match=r"[Tt]ake another"):
            restore(here, copy, replace=True, say=silent)
        assert seen(here.state) == now


def test_manifest_leads_to_no_other_file(here, tmp_path):
    backup = taken(here, tmp_path)
    document = json.loads((backup / "manifest.json").read_text())
    document["entries"]["state"]["file"] = "../../etc/passwd"
    del document["sha256"]
    document["sha256"] = archive._sum(document)
    (backup / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(BackupError, match="no file of a backup"):
        archive.load(backup)


def test_restore_that_fails_half_way_is_undone(here, tmp_path, monkeypatch):
    backup = taken(here, tmp_path)
    now, done = seen(tmp_path), restoring._in_place

    def fails(folder: Path, staged: Path, moves: list) -> None:
        if folder != here.state:
            raise OSError(28, "No space left on device", str(folder))
        done(folder, staged, moves)

    monkeypatch.setattr(restoring, "_in_place", fails)
    with pytest.raises(BackupError, match="No space left on device"):
        restore(here, backup, replace=True, say=silent)
    assert seen(tmp_path) == now


def test_database_is_of_one_moment_though_somebody_writes(tmp_path):
    source, stop = tmp_path / "hub.sqlite", threading.Event()
    with sqlite3.connect(source) as database:
        database.execute("pragma journal_mode=wal")
        database.execute("create table accounts (name text, sum integer)")
        database.executemany("insert into accounts values (?, 500)", [("a",), ("b",)])
    database.close()
    wrote = threading.Event()

    def write() -> None:
        with sqlite3.connect(source, timeout=20) as own:
            while not stop.is_set():
                own.execute("update accounts set sum = sum - 1 where name = 'a'")
                own.execute("update accounts set sum = sum + 1 where name = 'b'")
                own.commit()
                wrote.set()
        own.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for n in range(10):
            wrote.clear()
            assert wrote.wait(20)
            databases.copy(source, tmp_path / f"copy{n}.sqlite")
            with sqlite3.connect(tmp_path / f"copy{n}.sqlite") as copy:
                assert copy.execute("select sum(sum) from accounts").fetchone() == (1000,)
            copy.close()
    finally:
        stop.set()
        writer.join()
    assert not list(tmp_path.glob("copy*-wal"))


def test_catalogue_that_lacks_a_file_is_no_backup(here, tmp_path):
    (here.state / "services" / "catalogue" / "results" / "items" / "one.parquet").unlink()
    with pytest.raises(BackupError, match=r"catalogue changes faster .*items/one\.parquet.* when no harvest runs"):
        taken(here, tmp_path)
    assert list((tmp_path / "backups").iterdir()) == [], "nothing is left"


def test_parts_can_be_left_out_and_others_are_named(here, tmp_path):
    backup = taken(here, tmp_path, without=("homes", "shared"))
    (notes := here.state / "home" / "deep" / "notes.txt").write_text("newer")
    restore(here, backup, replace=True, say=silent)
    assert notes.read_text() == "newer"
    with pytest.raises(BackupError, match=r"no part jobs: the parts are homes, secrets, shared, state"):
        taken(here, tmp_path, without=("jobs",))
    with pytest.raises(BackupError, match="choose a folder on another disk"):
        save(here, here.state / "backups", say=silent)
    whole = taken(here, tmp_path / "more")
    with pytest.raises(BackupError, match=r"The backup has shared, .* --without shared"):
        restore(replace(here, lab=Lab()), whole, replace=True, say=silent)


@pytest.mark.thorough
def test_commands(here, tmp_path):
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump({"home": {"shared": here.lab.home.shared}}))
    ports = {f"GEODES_LAB_{n}_PORT": "1" for n in ("HUB", "USAGE", "CATALOGUE")}
    environment = {
        **os.environ,
        "GEODES_LAB_SETTINGS": str(tmp_path / "lab.yaml"),
        "GEODES_LAB_STATE": str(here.state),
        **ports,
    }

    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "hub.backup", *arguments]
        done = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    status, said = run("save", str(tmp_path / "backups"))
    assert status == 0, said
    (backup,) = (tmp_path / "backups").iterdir()
    assert f"The backup is whole: {backup}" in said
    status, said = run("restore", str(backup))
    assert (status, "--replace" in said) == (1, True)
    status, said = run("restore", "--replace", str(backup))
    assert status == 0, said
    assert "What was there is in" in said
    (backup / "state.tar").unlink()
    assert run("check", str(backup))[0] == 1


@pytest.fixture(scope="module")
def database() -> Iterator[Path]:
    """The folder of the socket of a PostgreSQL."""
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.serving() as folder:
        yield folder


def test_postgresql_is_dumped_and_comes_back(here, tmp_path, database):
    address = f"postgresql+psycopg2://hub:secret@/lab?host={database}"
    sql = lambda text: postgres.asked(database, text)  # noqa: E731
    sql("create table users (name text); insert into users values ('alice')")
    backup = taken(here, tmp_path, database=address)
    sql("insert into users values ('bob')")
    with pytest.raises(BackupError, match="The database has tables: nothing was changed"):
        restore(here, backup, database=address, without=("state", "secrets", "homes", "shared"), say=silent)
    with pytest.raises(BackupError, match="say where it goes with GEODES_LAB_DATABASE"):
        restore(here, backup, replace=True, say=silent)
    restore(here, backup, database=address, replace=True, say=silent)
    assert sql("select name from users") == "alice"
    sql("drop table users")
    shutil.rmtree(here.state)
    shutil.rmtree(here.lab.home.shared)
    restore(here, backup, database=address, say=silent)
    assert sql("select name from users") == "alice"
    assert not [p for p in backup.iterdir() if b"secret@" in p.read_bytes()]


def test_way_to_a_postgresql_is_as_safe_as_its_address_says(here, tmp_path, database):
    """Else a dump would go over the network in the clear, or come from somebody else, where the hub itself refuses that."""
    given = databases.Postgres("postgresql://hub@db.example/lab?sslmode=verify-full&sslrootcert=/ca.pem")._environment
    assert (given["PGSSLMODE"], given["PGSSLROOTCERT"]) == ("verify-full", "/ca.pem")
    # By a socket nothing is encrypted: libpq sees this option, and refuses.
    with pytest.raises(BackupError, match=r"pg_dump failed .*channel binding required"):
        taken(here, tmp_path, database=f"postgresql://hub@/lab?host={database}&channel_binding=require")
    with pytest.raises(BackupError, match="has the option 'sslmod', which is not known here"):
        taken(here, tmp_path, database=f"postgresql://hub@/lab?host={database}&sslmod=verify-full")
    assert not list((tmp_path / "backups").iterdir()), "nothing is left of them"


def test_every_service_keeps_what_it_has_in_the_state(here):
    """Else a backup would not have it."""
    (state,) = (p for p in parts(here) if p.name == "state")
    assert "services" in state.entries()
