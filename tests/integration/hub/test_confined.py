"""What a service may do on the machine: it is somebody of its own, owns one folder, and sees nothing that is not its own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import psutil
import pytest

from hub.services.confined import number
from hub.services.declared import services
from tests.support.awaiting import awaited
from tests.support.hub.hubs import _APART, Production, _closed, needs_accounts
from tests.support.paths import TOP

pytestmark = [needs_accounts, pytest.mark.attack]

# What somebody does who has taken a service over: everything that is tried is said.
_TAKEN_OVER = """
import ctypes, json, os, socket, subprocess, sys
told = {"uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups()}
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
told["rights"] = [status[k].strip() for k in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "NoNewPrivs")]
def tried(what, call):
    try:
        told[what] = call()
    except BaseException as error:
        told[what] = type(error).__name__
for path in json.loads(sys.argv[1]):
    tried(f"read {path}", lambda: open(path, "rb").read(20).decode() if not os.path.isdir(path) else sorted(os.listdir(path)))
for path in json.loads(sys.argv[2]):
    tried(f"write {path}", lambda: open(path, "w").write("x"))
tried("root", lambda: os.setuid(0))
tried("mount", lambda: ctypes.CDLL(None).mount(b"none", b"/", None, 32, None))
tried("sudo", lambda: subprocess.run([sys.executable, "-c", "import os; os.setuid(0)"], stderr=subprocess.DEVNULL).returncode)
told["others"] = [p for p in os.listdir("/proc") if p.isdigit() and os.stat(f"/proc/{p}").st_uid not in (os.getuid(),)]
told["secret"] = open(os.environ["GEODES_LAB_SECRETS"] + "/key").read() if os.path.exists(os.environ["GEODES_LAB_SECRETS"] + "/key") else None
told["settings"] = open(os.environ["GEODES_LAB_SETTINGS"]).read()
told["home"] = [os.environ["HOME"], os.getcwd(), os.environ["GEODES_LAB_STATE"]]
print(json.dumps(told))
"""


@pytest.fixture
def state(tmp_path) -> Path:
    """What a hub keeps, below a folder through which nobody else may pass."""
    place = tmp_path / "state"
    (place / "secrets").mkdir(parents=True, mode=0o700)
    (place / "hub.sqlite").write_text("everything")
    (place / "lab.yaml").write_text("name: Lab")
    (place / "lab.yaml").chmod(0o600)
    for name in ("key", "crypt_keys"):
        (place / "secrets" / name).write_text(f"the {name}")
        (place / "secrets" / name).chmod(0o600)
    place.chmod(0o700)
    return place


def command(state: Path, *more: str, name: str = "one", then: list[str]) -> list[str]:
    given = {"name": name, "state": state, "keeps": state / "services" / name, "settings": state / "lab.yaml"}
    given |= {"secrets": state / "secrets", "secret": "key"}
    return [
        sys.executable,
        "-m",
        "hub.services.confined",
        *(f"--{k}={v}" for k, v in given.items()),
        *more,
        "--",
        *then,
    ]


def taken_over(state: Path, *more: str, reads: list[Path] = (), writes: list[Path] = (), name: str = "one") -> dict:
    probe = [
        sys.executable,
        "-c",
        _TAKEN_OVER,
        json.dumps([str(p) for p in reads]),
        json.dumps([str(p) for p in writes]),
    ]
    done = subprocess.run(command(state, *more, name=name, then=probe), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "stderr": done.stderr}


def test_service_is_somebody_of_its_own_without_rights(state):
    one, other = taken_over(state), taken_over(state, name="other")
    assert 0 < one["uid"] == one["gid"] != other["uid"] > 0
    assert one["groups"] == []
    assert one["rights"] == ["0000000000000000"] * 4 + ["1"]
    assert (one["root"], one["mount"], one["sudo"] != 0) == ("PermissionError", -1, True)
    assert one["uid"] == number(state, "one") != number(state.parent, "one"), "nor does another lab have it"
    assert one["others"] == [], "it sees no process but its own"
    keeps = str(state / "services" / "one")
    assert one["home"] == [keeps] * 3
    assert one["settings"] == "name: Lab"


def test_it_reads_nothing_of_the_hub_and_of_people(state, tmp_path):
    homes = tmp_path / "homes"
    (homes / "lab-alice").mkdir(parents=True)
    (homes / "lab-alice" / "open.txt").write_text("hers, though open to all")
    shown = tmp_path / "lake"
    shown.mkdir()
    (shown / "a.zip").write_text("product")
    kept = [
        state / "hub.sqlite",
        state / "secrets" / "crypt_keys",
        homes / "lab-alice" / "open.txt",
        Path("/etc/shadow"),
    ]
    told = taken_over(
        state, f"--hides={homes}", f"--reads={shown}", reads=[*kept, state, shown / "a.zip", state / "secrets" / "key"]
    )
    refused = ("PermissionError", "FileNotFoundError", [])
    assert [told[f"read {p}"] in refused for p in kept] == [True] * len(kept), told
    assert told[f"read {state}"] == ["services"]
    assert told[f"read {shown / 'a.zip'}"] == "product", "the control"
    assert (told["secret"], told[f"read {state / 'secrets' / 'key'}"]) == ("the key", "FileNotFoundError")
    ipc = command(state, then=[sys.executable, "-c", "import os; print(os.readlink('/proc/self/ns/ipc'))"])
    own = subprocess.run(ipc, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout.strip()
    assert own.startswith("ipc:")
    assert own != str(Path("/proc/self/ns/ipc").readlink()), "no memory of System V is shared"
    other = taken_over(state, name="other", reads=[state / "services" / "one"])
    assert other[f"read {state / 'services' / 'one'}"] == "FileNotFoundError", "nor what another service keeps"


def test_it_writes_into_its_own_folder_alone(state, tmp_path):
    shown = tmp_path / "lake"
    shown.mkdir(mode=0o777)
    shown.chmod(0o777)
    own, scratch = state / "services" / "one" / "mine", Path("/tmp") / f"geodes-lab-{secrets.token_hex(8)}"
    kept = [
        shown / "x",
        Path("/usr/x"),
        Path("/etc/x"),
        Path("/var/lib/x"),
        TOP / "x",
        Path("/dev/shm/x"),
        Path("/run/x"),
    ]
    told = taken_over(state, f"--reads={shown}", writes=[*kept, own, scratch])
    assert told[f"write {own}"] == told[f"write {scratch}"] == 1
    private = {"write /dev/shm/x"}  # nobody else's either
    assert {k for k, v in told.items() if k.startswith("write") and v == 1} - private == {
        f"write {own}",
        f"write {scratch}",
    }
    assert not scratch.exists(), "its /tmp is not that of others"
    assert own.stat().st_mode & 0o077 == 0
    assert not (TOP / "x").exists()


def test_closed_datalake_is_read_by_its_group_which_people_do_not_have(state, tmp_path):
    lake = tmp_path / "lake"
    lake.mkdir()
    (lake / "a.zip").write_text("product")
    lake.chmod(0o700)
    told = taken_over(state, f"--reads={lake}", reads=[lake / "a.zip"])
    assert told[f"read {lake / 'a.zip'}"] == "PermissionError"
    assert "cannot read" in told["stderr"]
    assert "chgrp" in told["stderr"], "what to do"
    os.chown(lake, 0, 4242)
    lake.chmod(0o750)
    told = taken_over(state, f"--reads={lake}", reads=[lake / "a.zip"])
    assert (told[f"read {lake / 'a.zip'}"], told["groups"], told["stderr"]) == ("product", [4242], "")


def test_who_measures_homes_looks_into_them_and_has_no_other_power(state, tmp_path):
    home = tmp_path / "homes" / "lab-alice"
    home.mkdir(parents=True, mode=0o700)
    (home / "letter").write_text("dear")
    told = taken_over(
        state, f"--reads={home.parent}", "--capability=dac_read_search", reads=[home], writes=[home / "x"]
    )
    assert told[f"read {home}"] == ["letter"]
    assert told[f"write {home / 'x'}"] in ("PermissionError", "OSError")
    assert told["rights"] == ["0000000000000004"] * 4 + ["1"]


def test_renewed_secret_arrives_and_what_was_kept_before_is_taken_over(state):
    (state / "old.json").write_text("of before")
    show = "import os, sys\nfor line in sys.stdin: print(open(os.environ['GEODES_LAB_SECRETS'] + '/key').read(), open('old.json').read(), flush=True)"
    told = command(state, "--former=old.json", then=[sys.executable, "-c", show])
    with subprocess.Popen(told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def said() -> str:
            process.stdin.write("?\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        assert said() == "the key of before"
        part = state / "secrets" / ".part"  # as who renews it does
        part.write_text("renewed")
        part.replace(state / "secrets" / "key")
        awaited(lambda: said() == "renewed of before", 30)
        process.stdin.close()
        assert process.wait(20) == 0
    assert not (state / "old.json").exists()


def test_what_was_kept_before_is_written_by_the_service_itself(state):
    """A folder that the hub has made is the service's own afterwards, with all that is in it."""
    (state / "shelf").mkdir()
    (state / "shelf" / "a.json").write_text("of before")
    write = "from pathlib import Path; Path('shelf/a.json').write_text('now'); Path('shelf/b.json').write_text('new')"
    subprocess.run(
        command(state, "--former=shelf", then=[sys.executable, "-c", write]), check=True, stdin=subprocess.DEVNULL
    )
    kept = next((state / "services").rglob("shelf"))
    assert {p.name: p.read_text() for p in kept.iterdir()} == {"a.json": "now", "b.json": "new"}


def test_port_is_held_and_everything_ends_with_the_one_that_started_it(state):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    listen = "import os, socket, time; s = socket.socket(fileno=int(os.environ['GEODES_LAB_LISTEN'])); print(s.getsockname()[1], flush=True); time.sleep(600)"
    told = command(state, f"--port={port}", then=[sys.executable, "-c", listen])
    process = subprocess.Popen(told, stdout=subprocess.PIPE, text=True)
    try:
        assert int(process.stdout.readline()) == port
        again = subprocess.run(told, capture_output=True, text=True, timeout=60)
        assert (again.returncode, "cannot listen on port" in again.stderr) == (1, True)
        (child,) = (p for p in psutil.Process(process.pid).children() if p.uids().real)
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(20) in (-signal.SIGTERM, 128 + signal.SIGTERM)
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running()


def test_who_is_not_root_gives_a_service_no_more_than_it_has(state, tmp_path):
    """`make lab` by a person: there is one user, and the service cannot become another."""
    for path in (state, *state.rglob("*")):
        os.chown(path, 65534, 65534)
    overlays = tmp_path / "overlays"
    overlays.mkdir()
    for parent in state.parents:
        if (
            parent.stat().st_uid == 0
            and not parent.stat().st_mode & 0o001
            and parent.is_relative_to(tempfile.gettempdir())
        ):
            parent.chmod(0o711)
    show = "import json, os; print(json.dumps([os.getuid(), os.environ['GEODES_LAB_STATE'], os.getcwd(), dict(l.split(':', 1) for l in open('/proc/self/status'))['NoNewPrivs'].strip()]))"
    apart = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        _APART,
        str(overlays),
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ]
    environment = {**os.environ, "CLOSED": " ".join(_closed()), "KEPT": ""}
    told = [*apart, *command(state, "--lenient", then=[sys.executable, "-c", show])]
    done = subprocess.run(told, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    keeps = str(state / "services" / "one")
    assert json.loads(done.stdout) == [65534, keeps, keeps, "1"]


def all_of(hub: Production) -> dict[str, psutil.Process]:
    """The services of a hub by their names, once each has become what it is to be; until then none."""
    running, modules = {}, {f"hub.services.{name}": name for name in (*hub.ports, "measure")}
    for process in hub.pids():
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            if "-m" in line and line[line.index("-m") + 1] in modules:
                running[modules[line[line.index("-m") + 1]]] = process
    return running if set(running) == set(services()) else {}


def test_every_service_of_a_running_hub_is_confined(hub):
    running = awaited(lambda: all_of(hub))
    assert len({p.uids().real for p in running.values()} | {0}) == len(services()) + 1
    for name, process in running.items():
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
        assert int(status["NoNewPrivs"]) == 1, name
        assert int(status["CapEff"], 16) == (4 if name == "measure" else 0), name
        assert sorted(set(status["Uid"].split())) == [str(number(hub.state, name))], name
        assert not Path(f"/proc/{process.pid}/root/{hub.state}/hub.sqlite").exists(), name
        environment = process.environ()
        assert not {k for k in environment if "CONFIGPROXY" in k or "CLIENT_SECRET" in k or "CRYPT" in k}, name
    assert httpx.get(f"{hub.url}/services/home/").status_code == 200
    keys = {p.environ()["JUPYTERHUB_API_TOKEN"] for p in running.values()}
    assert len(keys) == len(services()), "a token for each"
