"""The news at a server that waits for them: signed, in order, each until it is taken, none lost when an engine dies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from geodes_lab.acquisition.engine import Engine
from geodes_lab.acquisition.ledger.tables import Database
from geodes_lab.acquisition.news import tell
from geodes_lab.acquisition.settings.config import Webhook as Settings
from geodes_lab.acquisition.settings.parts import Reference
from geodes_lab.acquisition.status import status
from geodes_lab.acquisition.telling.webhook import Webhook
from geodes_lab.errors import GeodesError
from geodes_lab.util import faults
from tests.acquisition.conftest import Lake
from tests.support.servers.served import served

SECRET = "a secret of the webhook"


class Receiver:
    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.got: list[tuple[str, dict[str, object]]] = []
        self.elsewhere = 0
        self.address = ""

    async def take(self, request: Request) -> Response:
        body, head = await request.body(), request.headers
        signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
        wanted = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
        assert head["webhook-signature"] == f"v1,{wanted}"
        assert len(body) <= 2**14
        code, headers = self.answers.pop(0) if self.answers else (204, {})
        if code < 300:
            self.got.append((head["webhook-id"], json.loads(body)))
        return Response(status_code=code, headers=headers)

    async def other(self, request: Request) -> Response:
        self.elsewhere += 1
        return Response(status_code=204)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    application = Starlette(
        routes=[Route("/news", made.take, methods=["POST"]), Route("/other", made.other, methods=["POST", "GET"])]
    )
    with served(application) as url:
        made.address = f"{url}/news"
        yield made


@pytest.fixture
def hook(lake: Lake, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> tuple[Webhook, list[float]]:
    monkeypatch.setenv("HOOK", SECRET)
    settings = lake.config(webhook={"address": receiver.address, "secret": {"environment": "HOOK"}})
    now = [1000.0]
    made = Webhook(Database(settings.state), settings.webhook, lambda: now[0])
    happened(made, "before", 999.0)
    made.begin()
    return made, now


def happened(hook: Webhook, name: str, time: float, kind: str = "deletion", **evidence: object) -> None:
    with hook.database.change() as c:
        tell(c, kind, name, f"{name} was deleted.", {"id": name, **evidence}, time)


def subjects(receiver: Receiver) -> list[str]:
    return [body["data"]["subject"] for _, body in receiver.got]


def test_each_is_sent_once_and_in_order(hook: tuple[Webhook, list[float]], receiver: Receiver) -> None:
    one, now = hook
    for name in "abc":
        happened(one, name, now[0])
    happened(one, "long", now[0], members=["x" * 100] * 1000)
    assert one.send(lambda: None) == 4
    assert subjects(receiver) == ["a", "b", "c", "long"]
    assert one.send(lambda: None) == 0
    name, body = receiver.got[0]
    assert name.startswith("urn:geodes-lab:acquisition:")
    assert (body["type"], body["data"]["text"], body["data"]["evidence"]) == (
        "acquisition.deletion", "a was deleted.", {"id": "a"},
    )  # fmt: skip
    now[0] += 7200  # what is done with is forgotten, and not sent anew
    happened(one, "d", now[0])
    assert one.send(lambda: None) == 1
    with one.database.change() as c:
        assert c.exec_driver_sql("SELECT count(*) FROM calls").scalar() == 1


@pytest.mark.parametrize("code", [500, 429, 302, 404])
def test_what_is_not_taken_waits_and_comes(hook: tuple[Webhook, list[float]], receiver: Receiver, code: int) -> None:
    one, now = hook
    for name in "ab":
        happened(one, name, now[0])
    receiver.answers = [(code, {"retry-after": "100", "location": "/other"})]
    assert one.send(lambda: None) == 0
    assert str(code) in "".join(status(one.database).webhooks.values())
    assert one.send(lambda: None) == 0  # not before its time
    now[0] += 99
    assert one.send(lambda: None) == (2 if code == 302 else 0)  # it says no time that counts
    now[0] += 2
    one.send(lambda: None)
    assert subjects(receiver) == ["a", "b"]
    assert receiver.elsewhere == 0
    assert not any(status(one.database).webhooks.values())


def test_news_that_are_always_refused_do_not_hold_the_others_for_ever(
    hook: tuple[Webhook, list[float]], receiver: Receiver
) -> None:
    one, now = hook
    for name in "ab":
        happened(one, name, now[0])
    receiver.answers = [(400, {})] * 10
    for _ in range(12):
        one.send(lambda: None)
        now[0] += 4000
    assert subjects(receiver) == ["b"]


@pytest.mark.parametrize("point", ["news.taken", "news.sent"])
def test_engine_that_dies_while_it_sends(
    hook: tuple[Webhook, list[float]], receiver: Receiver, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    one, now = hook
    happened(one, "a", now[0])

    def die(here: str) -> None:
        if here == point:
            raise KeyboardInterrupt

    monkeypatch.setattr(faults, "on_reach", die)
    with pytest.raises(KeyboardInterrupt):
        one.send(lambda: None)
    monkeypatch.setattr(faults, "on_reach", lambda here: None)
    assert one.send(lambda: None) == 0  # another engine may be sending it
    now[0] += 61
    assert one.send(lambda: None) == 1
    assert len({name for name, _ in receiver.got}) == 1
    assert len(receiver.got) == (1 if point == "news.taken" else 2)


def test_engine_tells_its_news(
    lake: Lake, small: list[Path], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", f"whsec_{base64.b64encode(SECRET.encode()).decode()}")
    lake.give(small[0])
    hook = {"address": receiver.address, "secret": {"environment": "HOOK"}, "kinds": ["arrival"]}
    Engine(lake.config(webhook=hook)).run()
    assert [b["type"] for _, b in receiver.got] == ["acquisition.arrival"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"address": "http://news.example/hook"}, "https://"),
        ({"address": "https://ada:hunter2@news.example/hook"}, "https://"),
        ({"secret": "hunter2 itself"}, "webhook.secret"),
        ({"kinds": ["gossip"]}, "webhook.kinds"),
    ],
)
def test_settings_that_are_refused(lake: Lake, changes: dict[str, object], sentence: str) -> None:
    given = {"address": "https://news.example/hook", "secret": {"environment": "HOOK"}} | changes
    with pytest.raises(GeodesError, match=sentence) as refused:
        lake.config(webhook=given)
    assert "hunter2" not in str(refused.value)


def test_secret_that_is_too_short(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "short")
    settings = Settings(address="https://news.example/", secret=Reference(environment="HOOK"))
    with pytest.raises(GeodesError, match="too short"):
        Webhook(Database(lake.config().state), settings).begin()
