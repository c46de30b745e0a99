"""The catalogue's service as two processes: what one knows the other knows, limits are for both, and news are told once."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import psutil
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.services.catalogue.guard import AT_ONCE
from hub.services.catalogue.results.turns import Turns
from hub.services.slots import Slots
from tests.hub.services.catalogue.test_catalogue_service import item
from tests.support.awaiting import awaited
from tests.support.paths import TOP
from tests.support.servers.mailbox import Mailbox, mail_server
from tests.support.servers.served import served

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several processes need Linux")


async def owner(request: Request) -> Response:
    """Who has a token, as the hub tells it: its name is the token."""
    name = request.headers["Authorization"].partition(" ")[2]
    return JSONResponse({"kind": "user", "name": name, "groups": [], "scopes": ["access:services"]})


async def person(request: Request) -> Response:
    return JSONResponse({"name": request.path_params["name"], "groups": []})


@dataclass
class Service:
    """The running service."""

    url: str
    folder: Path
    keeper: subprocess.Popen[bytes]
    box: Mailbox

    def ask(self, method: str, path: str, by: str = "ada", body: object = None) -> httpx.Response:
        """Ask by a new connection, which any process may accept."""
        return httpx.request(
            method, f"{self.url}{path}", json=body, headers={"Authorization": f"token {by}"}, timeout=120
        )

    def pids(self) -> list[int]:
        return [p.pid for p in psutil.Process(self.keeper.pid).children()]

    @contextmanager
    def only(self, number: int) -> Iterator[None]:
        """Have one process answer: the other one is stopped."""
        others = [pid for k, pid in enumerate(sorted(self.pids())) if k != number]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def common(self) -> Iterator[int]:
        """The file that its processes have in common: with it this process is one more of them."""
        places = Path(f"/proc/{self.pids()[0]}/fd")
        name = next(p for p in places.iterdir() if "memfd:shared" in str(p.readlink()))
        descriptor = os.open(name, os.O_RDWR)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def on_duty(self) -> int | None:
        """The process that looks for news, as the system lists who has the lock."""
        with suppress(FileNotFoundError):
            number = (self.folder / "news.duty").stat().st_ino
            for line in Path("/proc/locks").read_text().splitlines():
                if (found := re.match(r"\d+: FLOCK .* WRITE (\d+) \S+:(\d+) ", line)) and int(found[2]) == number:
                    return int(found[1])
        return None


@pytest.fixture(scope="module")
def service(sample, tmp_path_factory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("several")
    hub = Starlette(routes=[Route("/user", owner), Route("/users/{name}", person)])
    with served(hub) as api, mail_server() as box, socket.create_server(("127.0.0.1", 0)) as listening:
        mail = {"host": "127.0.0.1", "sender": "lab@lab.example", "port": box.port, "security": "none", "every": "1 s"}
        (folder / "lab.yaml").write_text(json.dumps({"catalogue": {"processes": 2}, "mail": mail}))
        environment = {
            **os.environ, "PYTHONPATH": str(TOP), "GEODES_LAB_LISTEN": str(listening.fileno()),
            "GEODES_LAB_SETTINGS": str(folder / "lab.yaml"), "GEODES_LAB_SECRETS": str(folder),
            "JUPYTERHUB_API_URL": api, "JUPYTERHUB_API_TOKEN": "secret", "JUPYTERHUB_SERVICE_NAME": "catalogue",
        }  # fmt: skip
        static = ["--static", str(sample / "catalog" / "catalog.json")]
        command = [sys.executable, "-m", "tests.support.servers.impatient", folder / "harvested", folder / "results"]
        with subprocess.Popen([*command, *static], env=environment, pass_fds=[listening.fileno()]) as keeper:
            here = Service(f"http://127.0.0.1:{listening.getsockname()[1]}", folder, keeper, box)
            try:
                awaited(lambda: len(here.pids()) == 2)
                for number in range(2):
                    with here.only(number):
                        awaited(lambda: here.ask("GET", "/stac/collections").status_code == 200)
                yield here
                left = psutil.Process(keeper.pid).children()
                keeper.terminate()
                assert keeper.wait(60) == 0
                assert not psutil.wait_procs(left, timeout=60)[1], "all end together"
            finally:
                keeper.kill()


@pytest.fixture(scope="module")
def collection(service) -> str:
    extent = {"spatial": {"bbox": [[0, 40, 5, 45]]}, "temporal": {"interval": [["2021-01-01T00:00:00Z", None]]}}
    told = {"type": "Collection", "stac_version": "1.1.0", "id": "ada.news", "description": "New", "license": "other", "extent": extent, "links": []}  # fmt: skip
    with service.only(0):
        assert service.ask("POST", "/stac/collections", body=told).status_code == 201
    with service.only(1):
        assert service.ask("POST", "/stac/collections", body=told).status_code == 409
    return "/stac/collections/ada.news/items"


def test_what_one_process_keeps_the_other_knows(service, collection):
    square = {"type": "Polygon", "coordinates": [[[0, 40], [1, 40], [1, 41], [0, 40]]]}
    file = {"name": "a.geojson", "data": base64.b64encode(json.dumps(square).encode()).decode()}
    with service.only(0):
        shape = service.ask("POST", "/shapes", body=file).json()
        feed = service.ask("POST", "/news/keys", body={"search": "collection=ada.news"}).json()
        assert service.ask("POST", collection, body=item("first", "ada.news")).status_code == 201
    with service.only(1):
        assert service.ask("GET", f"/shapes/{shape['id']}").json()["geometry"] == shape["geometry"]
        assert service.ask("GET", f"/shapes/{shape['id']}", by="bob").status_code == 404
        assert service.ask("POST", collection, body=item("first", "ada.news")).status_code == 409
        assert "first" in httpx.get(f"{service.url}/{feed['feed']}", timeout=60).text
        assert service.ask("DELETE", f"/news/keys/{feed['id']}").status_code == 200
    with service.only(0):
        assert httpx.get(f"{service.url}/{feed['feed']}", timeout=60).status_code in (401, 403, 404)


@pytest.mark.parametrize("number", [0, 1])
def test_limits_are_of_all_processes(service, collection, number):
    with service.common() as shared, service.only(number):
        places = Slots("requests", shared)
        for _ in range(AT_ONCE):
            assert places.take("ada", AT_ONCE) is not None
        assert service.ask("GET", "/stac/collections").status_code == 429
        assert service.ask("GET", "/stac/collections", by="bob").status_code == 200
        places.give("ada", 3)
        assert service.ask("GET", "/stac/collections").status_code == 200


def test_changes_of_a_person_follow_each_other_in_all_processes(service, collection):
    with service.common() as shared, ThreadPoolExecutor(1) as pool:
        turns = Turns(shared)
        places = turns._places
        with service.only(1):
            with turns.of("ada"):
                waits = pool.submit(service.ask, "POST", collection, body=item("waits", "ada.news"))

                def is_waiting() -> bool:
                    place = places.take("ada", 8)
                    places.give("ada", place)
                    return place == 2  # the first is ours, the second that of the request

                awaited(is_waiting)
                assert service.ask("GET", f"{collection}/waits").status_code == 404
            assert waits.result(120).status_code == 201
            for _ in range(8):
                places.take("ada", 8)
            refused = service.ask("POST", collection, body=item("refused", "ada.news"))
            assert (refused.status_code, "8 requests in progress" in refused.text) == (429, True)


def test_news_are_told_once_and_the_duty_moves_when_its_process_is_killed(service, collection):
    box = service.box

    def subjects() -> list[str]:
        return [m.get_content() for m in box.mails]

    def told(name: str) -> int:
        return sum(f"product={name}" in text for text in subjects())

    assert service.ask("POST", "/news/address", body={"address": "ada@lab.example"}).status_code == 200
    code = parse_qs(urlsplit(re.search(r"https?://\S+", box.mails.pop().get_content())[0]).query)["confirm"][0]
    assert service.ask("POST", "/news/confirm", body={"code": code}).status_code == 200
    body = {"search": "collection=ada.news", "name": "New", "on": True}
    assert service.ask("POST", "/news/mails", body=body).status_code == 200
    assert service.ask("POST", collection, body=item("second", "ada.news")).status_code == 201
    awaited(lambda: told("second"))
    first = awaited(service.on_duty)
    assert first in service.pids()
    os.kill(first, signal.SIGKILL)
    for number in range(5):  # requests go on
        assert service.ask("POST", collection, body=item(f"later-{number}", "ada.news")).status_code == 201
    assert awaited(lambda: service.on_duty() not in (None, first) and service.on_duty()) in service.pids()
    awaited(lambda: all(told(f"later-{number}") for number in range(5)))
    awaited(lambda: len(service.pids()) == 2)
    assert service.ask("POST", collection, body=item("last", "ada.news")).status_code == 201
    awaited(lambda: told("last"))
    names = ["second", *(f"later-{number}" for number in range(5)), "last"]
    assert {name: told(name) for name in names} == dict.fromkeys(names, 1)
