"""The operators' page and the culler behind it, over HTTP: who may, what is shown, orders, messages, and hostile names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest

from geodes_lab.policy.lab import Lab
from geodes_lab.policy.reading import read
from geodes_lab.policy.servers import Culling
from geodes_lab.policy.units import Seconds
from hub.services.culler.app import made as culler_app
from hub.services.culler.messages import Messages
from hub.services.culler.orders import Orders
from hub.services.culler.stops import Stops
from hub.services.culler.watch import Watch
from hub.services.hubapi import Member, Server
from hub.services.operators.app import Desk, made
from hub.services.operators.state import Sources
from hub.services.person import Hub, Person
from tests.support.awaiting import awaited
from tests.support.servers.served import served

BAD = "<script>alert(1)</script>"
LAB = read(
    Lab,
    {
        "login": {"kind": "oidc", "oidc": {"issuer": "https://sso.example.org", "client_id": "lab"}},
        "subdomains": False,
        "servers": {"kind": "accounts"},
        "profiles": {"S": {"title": "S", "cores": 2, "memory": "4 GiB"}, "L": {"title": "L", "cores": 16}},
        "groups": {"geodes": {"profiles": ["S"]}, "operators": {"admin": True}},
    },
    "",
)
PEOPLE = {
    "a": Person("alice", frozenset({"geodes"})),
    "b": Person("bob", frozenset({"geodes"})),
    "o": Person("olga", frozenset({"operators"})),
    "op": Person(service="operators"),
    "h": Person(service="home"),
    "s": Person(service="spawn"),
}
FORM = {"Sec-Fetch-Site": "same-origin", "Accept-Language": "en"}


class Known(Hub):
    """People and services by token, or by a cookie of that name."""

    def who(self, token: str, session: str = "") -> Person:
        return PEOPLE.get(token, Person())

    def person(self, request) -> Person:
        if kept := request.cookies.get("as"):
            return replace(self.who(kept), by_cookie=True)
        return super().person(request)


class FakeApi:
    """The hub's answers, without a hub."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self.all = [
            Server("alice", "", ("geodes",), now - timedelta(hours=3), now, "S", True),
            Server("bob", "", ("geodes",), now - timedelta(hours=30), now, "L", True),
        ]
        self.gone: list[str] = []

    async def servers(self) -> list[Server]:
        return list(self.all)

    async def members(self) -> tuple[list[Member], list[Server]]:
        people = [Member(p.name, tuple(p.groups), datetime.now(UTC)) for p in PEOPLE.values() if p.name]
        return [*people, Member("carl", (BAD,), None)], await self.servers()

    async def stop(self, server: Server) -> None:
        self.gone.append(server.person)
        self.all.remove(server)


@pytest.fixture
def lab(tmp_path, monkeypatch) -> Iterator[SimpleNamespace]:
    """A culler and the operators' page, each a server of its own."""
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "op")
    api = FakeApi()
    # It looks once an hour: what is stopped here, an order has stopped.
    rules = Culling(idle=Seconds(0), warning=Seconds(600), age=Seconds(0), every=Seconds(3600))
    watch, messages = Watch(rules, Orders(tmp_path / "orders.json")), Messages(tmp_path / "messages.json")
    with served(culler_app(watch, Stops(tmp_path / "stops.json"), Known(), api, messages)) as culler:
        desk = Desk(LAB, Known(), Sources(api, "http://127.0.0.1:9", culler))
        with served(made(desk)) as page:
            yield SimpleNamespace(api=api, culler=culler, page=page, watch=watch, folder=tmp_path)


def beat(lab: SimpleNamespace, token: str = "a", **told) -> dict:
    body = {"active": datetime.now(UTC).isoformat(), **told}
    return httpx.post(f"{lab.culler}/beat", json=body, headers=bearer(token)).raise_for_status().json()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"token {token}"}


def shown(lab: SimpleNamespace, language: str = "en", query: str = "") -> str:
    answer = httpx.get(f"{lab.page}/{query}", headers={**bearer("o"), "Accept-Language": language})
    assert answer.status_code == 200
    return answer.text


def post(lab: SimpleNamespace, path: str, **form) -> httpx.Response:
    return httpx.post(f"{lab.page}/{path}", data=form, cookies={"as": "o"}, headers=FORM)


CLUSTER = {"id": "c1", "name": f"local {BAD}", "place": "local", "workers": 3, "cores": 6, "memory": 2**33, "tasks": 1}


@pytest.mark.attack
def test_only_operators_see_it_and_act(lab):
    assert httpx.get(f"{lab.page}/", headers=bearer("a")).status_code == 403
    assert httpx.get(f"{lab.page}/", headers=bearer("h")).status_code == 307, "a service is sent to log in"
    assert httpx.get(f"{lab.page}/").status_code == 307
    assert "réservée aux opérateurs" in httpx.get(f"{lab.page}/?lang=fr", headers=bearer("a")).text
    for path in ("stop", "keep", "message", "withdraw"):
        assert httpx.post(f"{lab.page}/{path}", json={"text": "x"}, headers=bearer("a")).status_code == 403
    for path in ("orders", "orders/withdraw", "messages", "messages/withdraw"):
        for token in ("a", "o", "h", "s"):
            assert httpx.post(f"{lab.culler}/{path}", json={"text": "x"}, headers=bearer(token)).status_code == 403
    assert [httpx.get(f"{lab.culler}/state", headers=bearer(t)).status_code for t in ("a", "o", "h", "op")] == [
        403,
        403,
        403,
        200,
    ]
    assert [httpx.get(f"{lab.culler}/messages", headers=bearer(t)).status_code for t in ("a", "h", "s")] == [
        403,
        200,
        200,
    ]


@pytest.mark.attack
def test_form_of_another_site_does_nothing(lab):
    form = {"person": "alice", "server": "", "cluster": "", "minutes": "0", "text": ""}
    for site in ("cross-site", "same-site", "none", ""):
        headers = {"Sec-Fetch-Site": site} if site else {}
        assert httpx.post(f"{lab.page}/stop", data=form, cookies={"as": "o"}, headers=headers).status_code == 403
    assert lab.watch.orders.all() == []


def test_page_shows_who_is_there_and_what_runs(lab):
    beat(lab, person=datetime.now(UTC).isoformat(), running=["01.ipynb", BAD], clusters=[CLUSTER])
    page = shown(lab)
    for words in ("alice", "S: 2 × 4 GiB", "3 h ago", "01.ipynb", "1 here now", "18 cores, 8 GiB reserved"):
        assert words in page, words
    assert "3 workers, 6 cores" in page
    assert "1 d ago" in page
    assert "never" in page
    assert BAD not in page
    assert page.count("&lt;script&gt;") >= 3, "as text: of a notebook, of a cluster, of a group"
    assert "The accounts of use do not answer" in page
    french = shown(lab, "fr")
    assert '<html lang="fr">' in french
    assert "il y a 3 h" in french
    assert "Arrêter le serveur" in french
    assert "carl" not in shown(lab, query="?q=geodes").split('<section id="people"')[1]


def test_server_is_stopped_with_notice(lab):
    beat(lab)
    assert post(lab, "stop", person="alice", server="", minutes="30", text="New disks").status_code == 303
    awaited(lambda: beat(lab)["notice"] is not None, 20)
    notice = beat(lab)["notice"]
    assert (notice["why"], notice["text"]) == ("order", "New disks")
    left = datetime.fromisoformat(notice["stops"]) - datetime.now(UTC)
    assert timedelta(minutes=28) < left <= timedelta(minutes=30)
    assert "Stops at" in shown(lab)
    assert Orders(lab.folder / "orders.json").all() == lab.watch.orders.all(), "it outlives the service"
    # It is taken back: nobody is stopped, and nobody is told any more.
    assert post(lab, "keep", person="alice", server="").status_code == 303
    awaited(lambda: beat(lab)["notice"] is None, 20)
    assert post(lab, "keep", person="alice", server="").status_code == 404
    # At once: the person reads afterwards why.
    assert post(lab, "stop", person="alice", server="", minutes="0", text="New disks").status_code == 303
    awaited(lambda: lab.api.gone == ["alice"], 20)
    awaited(lambda: beat(lab)["stopped"], 20)
    stopped = beat(lab)["stopped"]
    assert (stopped["why"], stopped["text"]) == ("order", "New disks")
    assert post(lab, "stop", person="alice", server="", minutes="5").status_code == 404


def test_order_is_for_the_server_that_ran_and_not_for_a_later_one(lab):
    assert post(lab, "stop", person="alice", server="", minutes="30").status_code == 303
    (order,) = lab.watch.orders.all()
    later = replace(lab.api.all[0], started=datetime.now(UTC))
    assert lab.watch.orders.of_server(lab.api.all[0]) == order
    assert lab.watch.orders.of_server(later) is None
    lab.watch.orders.keep([later])
    assert lab.watch.orders.all() == []


def test_cluster_is_stopped_by_the_server_of_its_person(lab):
    assert post(lab, "stop", person="alice", server="", cluster="c1", minutes="5").status_code == 404, "none is known"
    beat(lab, clusters=[CLUSTER])
    assert post(lab, "stop", person="alice", server="", cluster="c1", minutes="5", text="Too large").status_code == 303
    (told,) = beat(lab, clusters=[CLUSTER])["clusters"]
    assert (told["id"], told["text"]) == ("c1", "Too large")
    assert beat(lab, "b", clusters=[CLUSTER])["clusters"] == [], "another person's"
    assert beat(lab)["notice"] is None, "the server stays"
    assert lab.watch.orders.all() == [], "the cluster is gone, and the order with it"


def test_messages_reach_one_or_all(lab):
    assert post(lab, "message", to="", text=f"Maintenance {BAD}", hours="1").status_code == 303
    assert post(lab, "message", to="alice", text="Your home is full", hours="24").status_code == 303
    assert [m["text"] for m in beat(lab)["messages"]] == ["Your home is full", f"Maintenance {BAD}"]
    assert [m["text"] for m in beat(lab, "b")["messages"]] == [f"Maintenance {BAD}"]
    assert beat(lab)["messages"][0]["by"] == "olga"
    page = shown(lab)
    assert BAD not in page
    assert "<td>olga</td>" in page
    assert len(Messages(lab.folder / "messages.json").all()) == 2
    id = beat(lab)["messages"][0]["id"]
    assert post(lab, "withdraw", id=id).status_code == 303
    assert len(beat(lab)["messages"]) == 1


@pytest.mark.parametrize(
    ("path", "form", "why"),
    [
        ("message", {"to": "nobody", "text": "x", "hours": "1"}, "There is no person &#x27;nobody&#x27;"),
        ("message", {"to": "", "text": " ", "hours": "1"}, "has no text"),
        ("message", {"to": "", "text": "x" * 1001, "hours": "1"}, "has 1001 characters"),
        ("message", {"to": "", "text": "x", "hours": "0"}, "more than 0 and at most 744 hours"),
        ("message", {"to": "", "text": "x", "hours": "nan"}, "The request needs to, text, hours."),
        ("message", {"to": "", "text": "x"}, "The request needs to, text, hours."),
        ("stop", {"person": "alice", "minutes": "-1"}, "in 0 to 1440 minutes"),
        ("stop", {"person": "carl", "minutes": "5"}, "carl has no such server"),
    ],
)
def test_what_cannot_be_done_is_said(lab, path, form, why):
    answer = post(lab, path, **form)
    assert answer.status_code in (400, 404)
    assert why in answer.text
    assert lab.watch.orders.all() == []


def test_programs_use_it_with_a_token(lab):
    answer = httpx.post(f"{lab.page}/message", json={"to": "", "text": "x", "hours": 1}, headers=bearer("o"))
    assert answer.status_code == 201
    id = answer.json()["id"]
    gone = [httpx.post(f"{lab.page}/withdraw", json={"id": id}, headers=bearer("o")).status_code for _ in range(2)]
    assert gone == [204, 404]


@pytest.mark.attack
@pytest.mark.parametrize(
    "clusters",
    [[{"id": "x" * 10**4}] * 60, [{"workers": "many"}], [5], 5, {"a": 1}, [{"memory": 10**30, "workers": -5}], [None]],
)
def test_reports_of_a_hostile_server_are_bounded(lab, clusters):
    body = {"active": datetime.now(UTC).isoformat(), "clusters": clusters}
    answer = httpx.post(f"{lab.culler}/beat", content=json.dumps(body), headers=bearer("a"))
    assert answer.status_code in (200, 400, 413)
    for known in lab.watch.beats.values():
        assert len(known.clusters) <= 50
        assert all(len(c.id) <= 100 and 0 <= c.memory <= 2**53 and c.workers >= 0 for c in known.clusters)
    assert shown(lab)


def test_services_that_do_not_answer_are_named(monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "op")
    desk = Desk(LAB, Known(), Sources(FakeApi(), "http://127.0.0.1:9", "http://127.0.0.1:9"))
    with served(made(desk)) as page:
        text = httpx.get(f"{page}/", headers={**bearer("o"), "Accept-Language": "en"}).text
        assert "The culler does not answer" in text
        assert "alice" in text, "what the hub knows is shown"
        form = {"person": "alice", "server": "", "minutes": "5"}
        answer = httpx.post(f"{page}/stop", data=form, cookies={"as": "o"}, headers=FORM)
        assert answer.status_code == 503
        assert "nothing was done" in answer.text
