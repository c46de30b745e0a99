"""What ``make audit`` says of packages, driven against a real index on loopback: one that knows advisories, one that knows none, none at all."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.audit import KNOWN_TO_BE_BAD, packages
from tests.support.hub.hubs import free_port
from tests.support.paths import TOP

OF_OLD = {
    "id": "PYSEC-2014-8",
    "aliases": ["CVE-2014-0012"],
    "fixed_in": ["2.7.2"],
    "summary": "old",
    "withdrawn": None,
}
BAD = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-0001"],
    "fixed_in": ["1.3"],
    "summary": "runs what it is sent",
    "withdrawn": None,
}
TAKEN_BACK = {**BAD, "id": "PYSEC-2026-2", "withdrawn": "2026-02-01T00:00:00Z"}


@contextmanager
def index(known: dict[str, list[dict] | int]) -> Iterator[str]:
    """An index: for ``name/version`` advisories, or a status that it answers with; it does not know others."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, first, name, version, last = (*self.path.split("/"), "", "", "", "")[:5]
            said = known.get(f"{name}/{version}", 404) if (first, last) == ("pypi", "json") else 400
            body = json.dumps(
                {"info": {"name": name}, "vulnerabilities": said} if isinstance(said, list) else {}
            ).encode()
            self.send_response(200 if isinstance(said, list) else said)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def lock(tmp_path) -> Path:
    path = tmp_path / "requirements.lock"
    names = {"good": "2.0", "bad": "1.2", "ours": "0.1", "broken": "3.0"}
    path.write_text(
        "".join(f"{n}=={v} ; sys_platform == 'linux' \\\n    --hash=sha256:{'0' * 64}\n" for n, v in names.items())
    )
    return path


def told(address: str, lock: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.audit", "--index", address, str(lock)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def knowing(**more: object) -> dict:
    return {f"{n}/{v}": [OF_OLD] for n, v in KNOWN_TO_BE_BAD} | {"good/2.0": [], **more}


def test_vulnerability_that_is_known_fails_and_all_others_are_told(lock):
    with index(knowing(**{"bad/1.2": [BAD], "broken/3.0": 500})) as address:
        done = told(address, lock)
    assert done.returncode == 1, done.stderr
    assert "Known vulnerabilities, in 1 of 4 packages:\n    bad==1.2: PYSEC-2026-1, mended in 1.3" in done.stdout
    assert "Not known to the index, so not looked at (1):\n    ours==0.1" in done.stdout, "it goes on, and says which"
    assert "Asked without an answer (1):\n    broken==3.0: 500" in done.stdout


def test_nothing_is_known_to_be_wrong(lock):
    with index(knowing(**{"bad/1.2": [TAKEN_BACK], "broken/3.0": [], "ours/0.1": []})) as address:
        done = told(address, lock)
    assert done.returncode == 0
    assert done.stdout == "No known vulnerability in 4 of 4 packages.\n", "what was taken back is none"


def test_index_without_advisories_says_nothing(lock):
    """A mirror: it has every package, and of none that it is bad."""
    clean = {
        "good/2.0": [],
        "bad/1.2": [],
        "ours/0.1": [],
        "broken/3.0": [],
        **{f"{n}/{v}": [] for n, v in KNOWN_TO_BE_BAD},
    }
    with index(clean) as address:
        done = told(address, lock)
    assert done.returncode == 0
    assert done.stdout.startswith(
        "No advisory source could be asked: the index has no advisories, not even of jinja2 2.4.1"
    )
    assert "No known vulnerability" not in done.stdout


def test_index_that_knows_no_package(lock):
    with index({}) as address:
        done = told(address, lock)
    assert done.returncode == 0
    assert done.stdout.startswith("No advisory source could be asked: ")
    assert "(4):\n    bad==1.2, broken==3.0, good==2.0, ours==0.1" in done.stdout


def test_index_that_is_not_there(lock):
    done = told(f"http://127.0.0.1:{free_port()}", lock)
    assert done.returncode == 0
    assert done.stdout.startswith("No advisory source could be asked: the index does not answer (")
    assert "So nothing is known of these 4 packages" in done.stdout
    assert "Asked without an answer (4):" in done.stdout


def test_every_line_of_the_lock_is_asked_about():
    found = packages([TOP / "requirements.lock", TOP / "helm" / "images" / "uv.txt"])
    assert len(found) > 300
    assert {"jupyterhub", "uv", "psycopg2-binary"} <= {name for name, _ in found}
