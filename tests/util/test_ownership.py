"""Places that other accounts of the machine could take, or have taken: tried by them, with files and ports that are theirs."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest

import geodes_lab as gl
from geodes_lab.cluster import running
from geodes_lab.cluster.places import local
from geodes_lab.util import ownership, user_folder

pytestmark = pytest.mark.attack

MALLORY = 54321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="another account's files and ports need root")


@pytest.fixture
def tmp(monkeypatch) -> Iterator[Path]:
    """A folder as ``/tmp`` is: everybody writes there, and removes what is their own alone."""
    for variable in ("XDG_RUNTIME_DIR", user_folder.RUNTIME):
        monkeypatch.delenv(variable, raising=False)
    base = Path(tempfile.mkdtemp(dir="/var/tmp"))  # on a disk
    base.chmod(0o755)
    folder = base / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    home = base / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(user_folder, "_taken", {})
    with dask.config.set({"geodes_lab.cluster.folder": None, "geodes_lab.cluster.spill": None}):
        yield folder
    shutil.rmtree(base)


def squat(folder: Path, how: str) -> Path:
    """What an attacker does before the account is there: its folder is known from its number."""
    place = folder / f"geodes-lab-{os.getuid()}"
    if how == "folder":
        place.mkdir()
        place.chmod(0o777)
    elif how == "link":
        (folder / "trap").mkdir()
        os.chown(folder / "trap", MALLORY, MALLORY)
        place.symlink_to(folder / "trap")
    elif how == "file":
        place.write_text("")
    os.chown(place, MALLORY, MALLORY, follow_symlinks=False)
    return place


@needs_root
@pytest.mark.parametrize("how", ["folder", "link", "file"])
def test_place_that_was_taken_is_passed_over(tmp, how):
    place = squat(tmp, how)
    found = user_folder.folder("clusters")
    assert found == user_folder.folder("clusters"), "the same each time"
    assert not found.is_relative_to(place)
    assert user_folder.base().parent == tmp
    assert running.listed() == []
    spill = Path(local.spill_folder())
    for one in (found, user_folder.base(), spill):
        assert ownership.private(one) == ""
    assert spill.is_relative_to(tmp)
    assert not list(place.iterdir()) if how == "folder" else True
    # Another process of the same user finds the same: it is in a note of the home's.
    code = "from geodes_lab.util import user_folder as private; print(private.base())"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp)}
    )
    assert other.stdout.strip() == str(user_folder.base()), other.stderr


@needs_root
def test_note_that_leads_to_somebody_else_is_not_followed(tmp):
    squat(tmp, "folder")
    first = user_folder.base()
    (note,) = (Path.home() / ".cache" / "geodes-lab").iterdir()
    trap = tmp / f"geodes-lab-{os.getuid()}-trap"
    trap.mkdir()
    os.chown(trap, MALLORY, MALLORY)
    note.write_text(str(trap))
    user_folder._taken.clear()
    assert user_folder.base() not in (first, trap)
    assert ownership.private(user_folder.base()) == ""


@needs_root
def test_setting_below_a_folder_of_somebody_else_is_refused_in_a_sentence(tmp):
    trap = tmp / "trap"
    trap.mkdir()
    trap.chmod(0o777)
    os.chown(trap, MALLORY, MALLORY)
    with (
        dask.config.set({"geodes_lab.cluster.folder": str(trap / "mine")}),
        pytest.raises(gl.GeodesError, match=f"{trap} belongs to another account. Leave the setting out") as said,
    ):
        user_folder.folder("clusters")
    assert not (trap / "mine").exists()
    assert "below" not in str(said.value)
    with (
        dask.config.set({"geodes_lab.cluster.spill": str(trap)}),
        pytest.raises(gl.GeodesError, match=f"{trap} belongs to another account"),
    ):
        local.spill_folder()
    assert list(trap.iterdir()) == []


@needs_root
@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", user_folder.RUNTIME])
def test_folder_of_the_environment_counts_if_it_is_really_ours(tmp, monkeypatch, variable):
    ours, theirs = tmp / "ours", tmp / "theirs"
    for folder in (ours, theirs):
        folder.mkdir(mode=0o700)
    monkeypatch.setenv(variable, str(ours))
    assert user_folder.base().is_relative_to(ours)
    os.chown(theirs, MALLORY, MALLORY)
    monkeypatch.setenv(variable, str(theirs))
    assert user_folder.base() == tmp / f"geodes-lab-{os.getuid()}"
    ours.chmod(0o755)
    monkeypatch.setenv(variable, str(ours))
    assert user_folder.base() == tmp / f"geodes-lab-{os.getuid()}", "one that others look into is not ours alone"


@needs_root
def test_who_could_change_a_path_is_seen_through_links_and_upwards(tmp):
    (tmp / "open").mkdir()
    (tmp / "open").chmod(0o777)  # no sticky bit: anybody renames what is there
    (tmp / "mine").mkdir(mode=0o700)
    assert ownership.fault(tmp / "mine" / "new") == ""
    assert ownership.fault(tmp / "open" / "new") == f"other accounts can write into {tmp / 'open'}"
    (tmp / "mine" / "in").symlink_to("../open")
    assert ownership.fault(tmp / "mine" / "in" / "new") == f"other accounts can write into {tmp / 'open'}"
    (tmp / "mine" / "back").symlink_to("..")
    assert ownership.fault(tmp / "mine" / "back" / "mine") == ""
    os.chown(tmp / "mine" / "back", MALLORY, MALLORY, follow_symlinks=False)
    assert ownership.fault(tmp / "mine" / "back" / "mine") == f"{tmp / 'mine' / 'back'} belongs to another account"
    (tmp / "mine" / "round").symlink_to("round")
    assert ownership.fault(tmp / "mine" / "round").endswith("is a link in a circle")
    assert ownership.fault(tmp / "mine", owner=MALLORY) == "", "root's is trusted by all"
    assert ownership.private(tmp / "mine", owner=MALLORY) == f"{tmp / 'mine'} belongs to another account"


def test_what_is_made_is_closed_to_others(tmp):
    os.umask(0)
    assert ownership.make(tmp / "a" / "b") == ""
    assert [stat.S_IMODE((tmp / p).stat().st_mode) for p in ("a", "a/b")] == [0o700, 0o700]
    user_folder.write(tmp / "a" / "note.json", "mine")
    assert stat.S_IMODE((tmp / "a" / "note.json").stat().st_mode) == 0o600


LISTEN = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"
CONNECT = "import socket, sys; s = socket.create_connection(('127.0.0.1', {}), 10); s.settimeout(10); print(s.recv(9))"


@needs_root
def test_whose_program_listens_at_a_port():
    asked = ["setpriv", f"--reuid={MALLORY}", f"--regid={MALLORY}", "--clear-groups", shutil.which("python3", path="/usr/bin") or "python3"]  # fmt: skip
    other = subprocess.Popen([*asked, "-c", LISTEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
    try:
        port = int(other.stdout.readline())
        assert ownership.listeners(port) == {MALLORY}
    finally:
        other.communicate()
    assert ownership.listeners(port) == set()
    with socket.create_server(("127.0.0.1", 0)) as mine:
        assert ownership.listeners(mine.getsockname()[1]) == {os.geteuid()}


@needs_root
def test_listener_lets_in_its_own_account_alone():
    with ownership.OwnListener() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]

        def serve() -> None:
            connection, _ = listening.accept()
            connection.sendall(b"secret")
            connection.close()

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        python = shutil.which("python3", path="/usr/bin") or "python3"
        asked = ["setpriv", f"--reuid={MALLORY}", f"--regid={MALLORY}", "--clear-groups", python, "-c", CONNECT.format(port)]  # fmt: skip
        refused = subprocess.run(asked, capture_output=True, text=True, timeout=30, cwd="/")
        assert "secret" not in refused.stdout + refused.stderr
        assert serving.is_alive()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as mine:
            assert mine.recv(9) == b"secret", "the control"


def test_first_of_several_that_write_once_wins(tmp_path):
    for text in ("first", "second"):
        user_folder.write_once(tmp_path / "key", text)
    assert (tmp_path / "key").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
