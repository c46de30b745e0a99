"""An application that takes time to start: who asks meanwhile waits for it, and after a while comes back."""

import threading

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from hub.services import serving


@pytest.fixture
def ready():
    event = threading.Event()
    yield event
    event.set()


def made_after(event: threading.Event):
    def make():
        event.wait(60)
        return PlainTextResponse("here")

    return serving.Later(make)


def test_who_asks_early_waits_and_gets_the_answer(ready):
    later = made_after(ready)
    threading.Timer(0.2, ready.set).start()
    with TestClient(later) as client:
        assert (client.get("/").status_code, client.get("/").text) == (200, "here")


def test_who_has_waited_long_is_told_and_a_browser_comes_back_by_itself(ready, monkeypatch):
    monkeypatch.setattr(serving, "_START", 0.1)
    with TestClient(made_after(ready)) as client:
        answer = client.get("/")
    assert (answer.status_code, answer.headers["Retry-After"], answer.headers["Refresh"]) == (503, "2", "2")
    assert "is starting" in answer.text
