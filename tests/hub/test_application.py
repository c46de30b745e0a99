"""The hub of ``make lab`` starts its services side by side, and those that can wait when somebody asks them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import httpx
import psutil
import pytest
from jupyterhub.app import JupyterHub

from hub.application import LabHub
from hub.installation import READY


@pytest.fixture
def application():
    LabHub.clear_instance()
    application = LabHub()
    application._service_map = {name: SimpleNamespace(command=["serve"]) for name in ("first", "second", "third")}
    yield application
    LabHub.clear_instance()


def test_services_start_at_once_and_each_is_awaited(application, monkeypatch):
    ended = []

    async def start(self, name, service, ssl_context=None):
        if name == "third":
            self.third_is_up.set()
        await asyncio.wait_for(self.third_is_up.wait(), 30)  # one after the other, the first would wait for ever
        ended.append(name)
        return name != "second"

    async def start_all():
        application.third_is_up = asyncio.Event()
        return [await application.start_service(name, one) for name, one in application._service_map.items()]

    monkeypatch.setattr(JupyterHub, "start_service", start)
    answers = asyncio.run(start_all())
    assert answers == [True, False, True], "the hub stops for a service that fails, as JupyterHub does"
    assert sorted(ended) == ["first", "second", "third"]


def test_services_stop_at_once_and_one_that_fails_keeps_nothing_from_its_end(application, monkeypatch):
    stopped = []

    class Service:
        managed = True

        def __init__(self, name):
            self.name = name

        async def stop(self):
            if self.name == "third":
                application.third_ends.set()
            await asyncio.wait_for(application.third_ends.wait(), 30)
            if self.name == "second":
                raise OSError("it is gone")
            stopped.append(self.name)

    async def stop_all():
        application.third_ends = asyncio.Event()
        await application.cleanup()

    async def cleanup(self):
        stopped.append("the hub")

    application._service_map = {name: Service(name) for name in application._service_map}
    monkeypatch.setattr(JupyterHub, "cleanup", cleanup)
    asyncio.run(stop_all())
    assert sorted(stopped[:-1]) == ["first", "third"]
    assert stopped[-1] == "the hub"


_SERVES = """
import os, socket
held = socket.socket(fileno=int(os.environ["GEODES_LAB_LISTEN"]))
while True:
    one, _ = held.accept()
    one.recv(9999)
    one.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nOK")
    one.close()
"""


@contextmanager
def service(tmp_path, port: int):
    """Start a service that starts when it is asked, as JupyterHub does; give what the hub knows of it."""
    options = {"name": "one", "state": tmp_path, "keeps": tmp_path / "services" / "one", "port": port}
    command = [sys.executable, "-m", "hub.services.confined", *(f"--{k}={v}" for k, v in options.items())]
    command += ["--lenient", "--when-asked", "--", sys.executable, "-c", _SERVES]
    started = SimpleNamespace(proc=None)

    async def start():
        started.proc = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def poll():
        return started.proc.poll()

    started.poll = poll
    try:
        yield SimpleNamespace(name="one", command=command, start=start, spawner=started)
    finally:
        if started.proc is not None:
            with started.proc:
                started.proc.send_signal(signal.SIGTERM)


def test_a_service_starts_when_its_port_is_asked_and_whoever_asks_gets_an_answer(application, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with service(tmp_path, port) as one:
        application._service_map = {"one": one}
        assert asyncio.run(application.start_service("one", one))
        waits = psutil.Process(one.spawner.proc.pid)
        assert waits.children() == [], "nobody has asked it"
        for _ in range(2):
            assert httpx.get(f"http://127.0.0.1:{port}/services/one/", timeout=30).text == "OK"
        assert len(waits.children()) == 1


def test_a_service_that_finds_its_port_taken_is_told_at_the_start_of_the_hub(application, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, service(tmp_path, taken.getsockname()[1]) as one:
        application._service_map = {"one": one}
        assert not asyncio.run(application.start_service("one", one))


def test_a_service_that_never_listens_is_told_too(application, monkeypatch, caplog):
    monkeypatch.setattr("hub.application._LISTENS", 0.05)

    async def nothing():
        return None

    silent = SimpleNamespace(proc=SimpleNamespace(pid=os.getppid()), poll=nothing)
    one = SimpleNamespace(name="one", command=["--when-asked", "--"], start=nothing, spawner=silent)
    monkeypatch.setattr(psutil.Process, "net_connections", lambda self, kind: [])
    application._service_map = {"one": one}
    application.log = logging.getLogger("of-the-test")
    assert not asyncio.run(application.start_service("one", one))
    assert "Service one does not listen after 0.05 s" in caplog.text


def test_launcher_is_told_after_the_start(application, monkeypatch):
    read, write = os.pipe()
    monkeypatch.setenv(READY, str(write))

    async def start(self):
        assert READY in os.environ

    monkeypatch.setattr(JupyterHub, "start", start)
    asyncio.run(application.start())
    assert READY not in os.environ, "no service and no server gets the number"
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"\n", "one byte, then closed"
