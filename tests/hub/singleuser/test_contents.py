"""A home with a quota, in a real Jupyter server with the lab's configuration: what makes it larger is refused, all else goes on."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from nbconvert.exporters import base

from geodes_lab.util.disk import disk_use
from hub.services.measure.homes import sizes
from tests.support.awaiting import awaited
from tests.support.paths import TOP

pytestmark = pytest.mark.thorough

MIB = 2**20
QUOTA = 8 * MIB


class Server:
    """A person's server, spoken to by a socket."""

    def __init__(self, folder: Path) -> None:
        self.home, socket = folder / "homes" / "alice", folder / "s"
        self.home.mkdir(parents=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "GEODES_LAB_"))}
        environment = {
            **kept, "HOME": str(self.home), "JUPYTER_CONFIG_PATH": str(TOP / "hub" / "singleuser"), "JUPYTER_TOKEN": "t",
            "GEODES_LAB_RUNTIME": str(folder / "run"), "GEODES_LAB_HOME_QUOTA": str(QUOTA), "JUPYTERHUB_USER": "alice", "JUPYTER_PATH": str(TOP),
            "PYTHONPATH": str(TOP), "GEODES_LAB_WAITING": "no",
        }  # fmt: skip
        (folder / "run").mkdir(mode=0o700)
        command = [sys.executable, "-m", "jupyter_server", "--allow-root", f"--ServerApp.sock={socket}"]
        command.append("--ServerApp.identity_provider_class=tests.support.hub.identity.Alice")
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=self.home, env=environment, stdout=log, stderr=log)
        self.web = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://localhost", timeout=60,
            headers={"Authorization": "token t", "Accept-Language": "en"},
        )  # fmt: skip
        try:
            awaited(self._answers)
        except BaseException:
            self.process.kill()
            raise

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            return self.web.get("/api/status").status_code == 200
        except httpx.HTTPError:
            return False

    def put(self, name: str, content: str | bytes, **model) -> httpx.Response:
        if isinstance(content, bytes):
            model = {"format": "base64", "content": base64.b64encode(content).decode(), **model}
        return self.web.put(
            f"/api/contents/{name}", json={"type": "file", "format": "text", "content": content, **model}
        )

    def space(self) -> dict:
        return self.web.get("/geodes/space", headers={"Accept": "application/json"}).json()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("s"))
    try:
        yield running
    finally:
        running.process.terminate()
        running.process.wait(20)


def test_link_brings_a_repository_and_the_server_has_french_and_a_meter(server, tmp_path):
    """What people ask for first, in the server that they get; before its home is filled."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    (tmp_path / "storms.ipynb").write_text("{}")
    for words in (["init", "-b", "main"], ["add", "."], ["commit", "-m", "storms"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    link = {"repo": str(tmp_path), "branch": "main", "targetpath": "course"}
    assert '{"phase": "finished"}' in server.web.get("/git-pull/api", params=link).text
    assert (server.home / "course" / "storms.ipynb").read_text() == "{}"
    shutil.rmtree(server.home / "course")
    assert "fr_FR" in server.web.get("/lab/api/translations/").json()["data"]
    assert server.web.get("/api/metrics/v1").json()["rss"] > 2**20


def test_page_of_jupyterlab_asks_for_no_build(server):
    page = server.web.get("/lab").text
    assert '"buildCheck": false' in page
    assert '"buildAvailable": false' in page


def test_formats_of_export_are_those_of_nbconvert_and_kept_for_the_next_start(server):
    told = server.web.get("/api/nbconvert", timeout=280).json()  # others go first
    names = base.get_export_names()
    assert told == {name: {"output_mimetype": base.get_exporter(name).output_mimetype} for name in names}
    folder = server.home / ".local" / "share" / "jupyter" / "geodes-lab-exports"
    assert folder.exists(), server.log.read_text()[-3000:]
    (kept,) = folder.iterdir()
    assert json.loads(kept.read_text()) == told
    kept.write_text('{"html": {"output_mimetype": "text/html"}}')
    assert list(server.web.get("/api/nbconvert").json()) == ["html"], "what is kept is told"
    for spoilt in ("", "[" * 60_000, "{}", "[1]"):
        kept.write_text(spoilt)
        assert server.web.get("/api/nbconvert", timeout=280).json() == told
    assert json.loads(kept.read_text()) == told, "it is mended"


@pytest.fixture
def full(server) -> Iterator[Server]:
    """The home, filled from elsewhere, as by a terminal."""
    (server.home / "small.txt").write_text("x" * 50_000)
    (server.home / "big.bin").write_bytes(os.urandom(QUOTA + MIB // 2))
    (server.home / "folder").mkdir(exist_ok=True)
    (server.home / "folder" / "file").write_text("y")
    server.web.get("/geodes/space")  # the page measures
    yield server
    for file in [p for p in server.home.rglob("*") if p.is_file()]:
        file.unlink()


def sentence(reply: httpx.Response) -> str:
    assert reply.status_code == 507, (reply.status_code, reply.text)
    return reply.json()["message"]


def test_what_makes_a_full_home_larger_is_refused_with_a_sentence(full):
    text = sentence(full.put("new.txt", "hello"))
    used = disk_use.of(full.home)
    assert f"Your home is full: {used / MIB:.3g} MiB of 8 MiB are used, and this needs 4 kiB more." in text
    assert "Nothing was saved. Delete files" in text
    notebook = {"type": "notebook", "content": {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}}
    assert "is full" in sentence(full.web.put("/api/contents/new.ipynb", json=notebook))
    for wish in (
        {"type": "notebook"},
        {"type": "file"},
        {"type": "directory"},
        {"copy_from": "small.txt"},
        {"copy_from": "folder"},
    ):
        assert "is full" in sentence(full.web.post("/api/contents", json=wish)), wish
    assert "is full" in sentence(full.put("small.txt", "x" * 100_000))
    assert "is full" in sentence(full.put("part.bin", b"1" * 10, chunk=1))
    search = full.web.get("/geodes/notebook", params={"search": json.dumps({"collections": ["S2"]})})
    assert search.status_code == 507
    assert "<h1>Your home is full</h1>" in search.text
    french = {"Accept-Language": "fr-FR,fr;q=0.9"}
    search = full.web.get("/geodes/notebook", params={"search": json.dumps({"collections": ["S2"]})}, headers=french)
    assert search.status_code == 507
    assert "<html lang=fr>" in search.text
    assert "Votre espace est plein" in search.text
    assert "Faire de la place" in search.text
    assert "Rien n&#x27;a été enregistré" in search.text
    saved = full.web.put("/api/contents/x.txt", json={"type": "file", "format": "text", "content": "x"}, headers=french)
    assert saved.json()["message"].startswith("Votre espace est plein : ")
    assert "is full" in sentence(full.put("x.txt", "x")), "each request has its own language"
    wish = full.web.post("/geodes/environments", data={"name": "storms", "text": "numpy"})
    assert "Your home is full" in wish.text
    assert sorted(p.name for p in full.home.iterdir() if not p.name.startswith(".")) == [
        "big.bin",
        "folder",
        "small.txt",
    ]


def test_all_say_the_same_number(full):
    space = full.space()
    assert space["used"] == sizes(full.home.parent)["alice"] == disk_use.of(full.home) > QUOTA
    assert (space["over"], space["warn"], space["quota"], round(space["part"], 3)) == (
        True,
        True,
        QUOTA,
        round(space["used"] / QUOTA, 3),
    )
    page = full.web.get("/geodes/space").text
    assert f"{space['used'] / MIB:.3g} MiB of 8 MiB are used ({space['part']:.0%})" in page
    assert "Your home is over its quota" in page
    done = subprocess.run(
        [sys.executable, "-c", "from geodes_lab.cli.doctor import _say_home; _say_home()"], text=True, stdout=subprocess.PIPE,
        env={**os.environ, "HOME": str(full.home), "GEODES_LAB_HOME_QUOTA": str(QUOTA), "PYTHONPATH": str(TOP)}, check=True,
    )  # fmt: skip
    assert f"home: {space['used'] / MIB:.3g} MiB of 8 MiB, {space['part']:.0%} of the quota" in done.stdout


def test_everything_can_be_fetched_and_deleted(full):
    data = (full.home / "big.bin").read_bytes()
    assert full.web.get("/files/big.bin").content == data
    page = full.web.get("/geodes/space").text
    assert '<a href="/files/big.bin?download=1">Download</a>' in page
    got = full.web.get("/api/contents/small.txt").json()
    assert got["content"] == "x" * 50_000
    # Smaller is no more; another name is not either.
    assert full.put("small.txt", "x").status_code == 200
    assert full.web.patch("/api/contents/small.txt", json={"path": "other.txt"}).status_code == 200
    assert full.web.delete("/api/contents/big.bin").status_code == 204
    assert disk_use.of(full.home) < QUOTA, "and it is no longer in the trash"
    assert full.put("new.txt", "hello").status_code == 201, "at once"


def test_links_lead_out_of_the_home_and_out_of_its_quota(full, tmp_path):
    (tmp_path / "theirs").write_bytes(b"1" * 100_000)
    link = full.home / "group"
    link.symlink_to(tmp_path)
    try:
        assert full.put("group/result.txt", "hello").status_code == 201
        assert "is full" in sentence(full.web.patch("/api/contents/group/theirs", json={"path": "mine"}))
        assert (tmp_path / "theirs").exists()
    finally:
        link.unlink()


def test_upload_in_parts_that_outgrows_the_quota_leaves_no_part(server):
    part = os.urandom(3 * MIB)
    assert server.put("whole.bin", part, chunk=1).status_code == 201
    assert server.put("whole.bin", part, chunk=2).status_code == 200
    assert "is full" in sentence(server.put("whole.bin", part, chunk=3))
    assert not (server.home / "whole.bin").exists()


def test_disk_that_is_full_is_said_as_such(server):
    (server.home / "disk").symlink_to("/dev/full")
    reply = server.put("disk", b"1" * 10, chunk=2)
    assert "The disk takes no more (No space left on device)" in sentence(reply)
    assert Path("/dev/full").exists()
