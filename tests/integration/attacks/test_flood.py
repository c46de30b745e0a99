"""Connections that say nothing do not stop the hub, and what it tells of them does not fill the disk."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from hub.front.quiet import Quiet
from tests.support.awaiting import awaited
from tests.support.hub.hubs import Browser, Production
from tests.support.hub.provider import Provider
from tests.support.paths import TOP

pytestmark = pytest.mark.attack

DESCRIPTORS = 256
LOG = 1_000_000  # bytes


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        running.put("alice", groups=["geodes"])
        yield running


@pytest.fixture(scope="module")
def hub(provider) -> Iterator[Production]:
    file = {
        "login": {"kind": "oidc", "oidc": provider.settings()},
        "servers": {"kind": "accounts"},
        "groups": {"geodes": {}},
    }
    with Production(file, descriptors=DESCRIPTORS) as running:
        yield running


@contextlib.contextmanager
def flood(port: int, number: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open connections; they stay open until the end, as far as the other side lets them."""
    held: list[socket.socket] = []
    until = time.monotonic() + 30  # a hub that takes none any longer would keep each waiting
    try:
        while len(held) < number and time.monotonic() < until:
            one = socket.socket()
            one.settimeout(1)
            held.append(one)
            with contextlib.suppress(OSError):
                one.connect(("127.0.0.1", port))
                one.sendall(sent)
        yield held
    finally:
        for one in held:
            one.close()


def main(hub: Production) -> psutil.Process:
    """The hub's own process."""
    (found,) = (
        p
        for p in hub.pids()
        if "jupyterhub" in " ".join(p.cmdline()[:3]) and str(hub.config) in p.cmdline() and "sh" not in p.name()
    )
    return found


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /hub/health HTTP/1.1\r\nHost: x\r\n", b"POST /hub/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"],
    ids=["nothing", "half of the headers", "half of a body"],
)  # fmt: skip
def test_connections_that_say_nothing(hub, sent):
    process = main(hub)
    before = hub.log.stat().st_size
    with flood(hub.ports["hub"], 2 * DESCRIPTORS, sent):
        # While it lasts the honest are answered, and there are descriptors for what the hub itself opens.
        for _ in range(20):
            assert httpx.get(f"http://127.0.0.1:{hub.ports['hub']}/hub/health", timeout=20).status_code == 200
        assert Browser(hub).login("alice").status_code == 200, "the proxy, the provider, the database"
        assert process.num_fds() < DESCRIPTORS - 32
    assert httpx.get(f"{hub.url}/hub/health", timeout=20).status_code == 200
    awaited(lambda: process.num_fds() < DESCRIPTORS // 2, 30)
    assert hub.log.stat().st_size - before < LOG


def test_hub_says_that_its_descriptors_are_few(hub):
    assert (
        f"The hub can use only {DESCRIPTORS} file descriptors, so 192 connections at once: set LimitNOFILE=65536"
        in hub.said()
    )


def test_hub_takes_the_descriptors_that_it_may_have(hub):
    """The soft limit, which systemd leaves at 1024, is raised to the hard one."""
    import subprocess
    import sys

    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (128, min(4000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])));"
        "from hub.front import connections; connections.bound(); print(*resource.getrlimit(resource.RLIMIT_NOFILE), connections.room())"
    )
    said = subprocess.check_output(
        [sys.executable, "-c", code],
        text=True,
        cwd=os.fspath(hub.config.parent),
        env={**os.environ, "PYTHONPATH": str(TOP)},
    )
    soft, hard, room = map(int, said.split())
    assert soft == hard > 128
    assert room == soft * 3 // 4


def test_flood_of_log_messages():
    """Ten thousand errors of one kind are five lines and a sum; another message beside them is not lost."""
    shown: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shown.append(record.getMessage())

    handler = Kept()
    handler.addFilter(Quiet(seconds=1))
    logger = logging.Logger("flooded")
    logging.Logger.manager.loggerDict["flooded"] = logger
    logger.addHandler(handler)
    try:
        for number in range(10_000):
            logger.error("Exception in callback <Handle %s> at 0x%x", number, number)
        logger.error("the disk is full")
        assert len(shown) == 6
        awaited(
            lambda: any("Left out of the log, 9995 times within 1 s: Exception in callback" in s for s in shown), 20
        )
        logger.error("Exception in callback <Handle %s> at 0x%x", 1, 1)
        assert shown[-1].startswith("Exception"), "a new minute"
        # Messages that are all different come from one line, and long ones are cut.
        shown.clear()
        began = time.monotonic()
        for number in range(5000):
            logger.error("404 GET /hub/%s", "".join(chr(97 + int(d)) for d in str(number)) + "y" * 9000)
        windows = int(time.monotonic() - began) + 2  # each second of a busy machine has its own count
        assert sum(map(len, shown)) < 2_000_000 * windows
        assert len(shown) <= 301 * windows
        assert "9009 characters" in shown[0] or "characters)" in shown[0]
    finally:
        del logging.Logger.manager.loggerDict["flooded"]
        deadline = time.monotonic() + 5
        while handler.filters[0]._window is not None and time.monotonic() < deadline:
            time.sleep(0.05)
