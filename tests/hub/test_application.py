"""The hub of ``make lab`` starts its services side by side."""

from __future__ import annotations

import asyncio
import os

import pytest
from jupyterhub.app import JupyterHub

from hub.application import LabHub
from hub.installation import READY


@pytest.fixture
def application():
    LabHub.clear_instance()
    application = LabHub()
    application._service_map = {"first": object(), "second": object(), "third": object()}
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
