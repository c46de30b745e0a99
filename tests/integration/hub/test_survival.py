"""What is killed, locked or full: running servers go on, and the hub comes back."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest

from tests.support.hub.hubs import Person, Production, needs_accounts
from tests.support.hub.provider import Provider

pytestmark = [needs_accounts, pytest.mark.slow]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        for name in ("alice", "bob", "carl"):
            running.put(name, groups=["geodes"])
        yield running


def file(provider: Provider, sample) -> dict:
    return {
        "login": {"kind": "oidc", "oidc": provider.settings()},
        "servers": {"kind": "accounts"},
        "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}},
        "groups": {"geodes": {"profiles": ["S"]}},
        "catalogue": {"static": str(sample / "catalog" / "catalog.json")},
    }


@pytest.fixture(scope="module")
def hub(provider, sample) -> Iterator[Production]:
    with Production(file(provider, sample), own_proxy=True) as running:
        yield running


@pytest.fixture(scope="module")
def alice(hub) -> Person:
    person = Person(hub, "alice")
    person.run("kept = 6 * 7")
    return person


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if condition():
                return
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.2)


def status(hub: Production, path: str, token: str = "") -> int:
    headers = {"Authorization": f"token {token}"} if token else {}
    return httpx.get(f"{hub.url}{path}", headers=headers, timeout=20).status_code


def one_of(hub: Production, name: str) -> psutil.Process:
    """The process whose command has a word."""
    (found,) = (p for p in hub.pids() if word(p, name))
    return found


def word(process: psutil.Process, name: str) -> bool:
    """Whether a process's command has a word; one that is just ending has none, and who stays beside a service is not the service."""
    try:
        line = process.cmdline()
        return f"hub.services.{name}" in line and "hub.services.confined" not in line
    except psutil.Error:
        return False


def test_killed_hub_takes_no_server_along_and_comes_back(hub, alice):
    server = httpx.get(f"{hub.url}/hub/api/users/alice", headers={"Authorization": f"token {alice.token}"}).json()
    os.kill(hub.process.pid, signal.SIGKILL)
    hub.process.wait()
    assert alice.run("print(kept)") == "42", "while there is no hub"
    # Its services do not outlive it: the ports are free for the next ones.
    until(lambda: not any(word(p, "catalogue") for p in hub.pids()))
    hub.start()
    assert alice.run("print(kept)") == "42"
    again = httpx.get(f"{hub.url}/hub/api/users/alice", headers={"Authorization": f"token {alice.token}"}).json()
    assert again["servers"][""]["ready"]
    assert again["servers"][""]["started"] == server["servers"][""]["started"], "it is the same server"
    until(lambda: status(hub, "/services/catalogue/stac/collections", alice.token) == 200)
    until(lambda: status(hub, "/services/home/") == 200)
    # And others can start theirs.
    assert Person(hub, "bob").run("print(1)") == "1"


def test_killed_proxy_comes_back_with_all_its_routes(hub, alice):
    hub.proxy.send_signal(signal.SIGKILL)
    hub.proxy.wait()
    with pytest.raises(httpx.HTTPError):
        status(hub, "/hub/health")
    hub.start_proxy()
    until(lambda: status(hub, "/hub/health") == 200)
    until(lambda: status(hub, "/user/alice/api/status", alice.token) == 200)
    until(lambda: status(hub, "/services/catalogue/stac/collections", alice.token) == 200)
    until(lambda: status(hub, "/services/home/feed.atom") == 200)


@pytest.mark.parametrize("name", ["catalogue", "usage", "culler", "home"])
def test_killed_service_comes_back(hub, name):
    before = one_of(hub, name)
    before.kill()
    until(lambda: any(word(p, name) and p.pid != before.pid for p in hub.pids()))
    until(lambda: status(hub, f"/services/{name}/") < 500)


def test_locked_database_stops_no_server_and_the_hub_goes_on_afterwards(hub, alice):
    until(lambda: status(hub, "/user/alice/api/status", alice.token) == 200)
    lock = sqlite3.connect(hub.state / "hub.sqlite", isolation_level=None)
    lock.execute("begin exclusive")
    try:
        with contextlib.suppress(httpx.HTTPError):
            status(hub, "/hub/api/user", alice.token)
        assert status(hub, "/user/alice/api/status", alice.token) == 200
        assert hub.process.poll() is None
    finally:
        lock.execute("rollback")
        lock.close()
    until(lambda: status(hub, "/hub/api/user", alice.token) == 200)
    until(lambda: status(hub, "/user/alice/api/status", alice.token) == 200)
    assert Person(hub, "carl").run("print(1)") == "1"


def test_full_disk_stops_no_server_and_the_hub_goes_on_afterwards(provider, sample):
    with Production(file(provider, sample), disk="24m") as hub:
        alice = Person(hub, "alice")
        alice.run("kept = 6 * 7")
        filler = hub.state / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as waste:
            while True:
                waste.write(b"0" * 4096)
                waste.flush()
        assert os.statvfs(hub.state).f_bavail * os.statvfs(hub.state).f_frsize < 65536
        for _ in range(5):
            with contextlib.suppress(httpx.HTTPError):
                alice.browser.api("POST", "/users/alice/tokens", json={"expires_in": 60})
        assert hub.process.poll() is None
        assert alice.run("print(kept)") == "42"
        filler.unlink()
        until(lambda: status(hub, "/hub/api/user", alice.token) == 200)
        until(lambda: alice.browser.api("POST", "/users/alice/tokens", json={"expires_in": 60}).status_code == 201)
        assert alice.run("print(kept)") == "42"
