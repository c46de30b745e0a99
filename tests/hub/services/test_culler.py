"""Which servers are stopped, and when: by a clock that the test turns; and the culler over HTTP."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from geodes_lab.policy.servers import Culling
from geodes_lab.policy.units import Seconds
from hub.services.culler.app import look, made
from hub.services.culler.stops import Stop, Stops
from hub.services.culler.watch import Beat, Watch
from hub.services.hubapi import Server
from hub.services.person import Hub, Person
from tests.support.servers.served import served

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RULES = Culling(idle=Seconds(3600), warning=Seconds(600), age=Seconds(86400), every=Seconds(60))


def server(started=NOON, active=NOON, person="alice", name="") -> Server:
    return Server(person, name, (), started, active, "S", True)


def stopped(watch: Watch, one, minutes, until=3000, beat=None):
    """Look every minute until the server is stopped; give when and why, and when it was first told."""
    told = None
    for minute in range(minutes, until):
        now = NOON + minute * MINUTE
        if beat:
            watch.beats[one.person, one.name] = beat(now)
        due = watch.look([one], now)
        if watch.notices and told is None:
            told = minute
        if due:
            return minute, due[0][1], told
    return None


def test_idle_server_is_told_and_then_stopped():
    assert stopped(Watch(RULES), server(), 0) == (60, "idle", 50)


def test_server_that_is_used_is_left_until_it_is_old():
    used = lambda now: Beat(now, now)  # noqa: E731
    assert stopped(Watch(RULES), server(), 0, beat=used) == (24 * 60, "age", 24 * 60 - 10)
    forever = Culling(idle=Seconds(3600), warning=Seconds(600), age=Seconds(0), every=Seconds(60))
    assert stopped(Watch(forever), server(), 0, beat=used) is None


def test_tab_that_nobody_looks_at_does_not_keep_a_server():
    """The hub sees requests all the time; the server says that nothing happens."""
    busy = server(active=NOON + timedelta(days=1))
    assert stopped(Watch(RULES), busy, 0, beat=lambda now: Beat(now, NOON)) == (60, "idle", 50)


def test_server_that_says_nothing_goes_by_what_the_hub_saw():
    assert stopped(Watch(RULES), server(active=NOON + 30 * MINUTE), 0) == (90, "idle", 80)
    stale = Watch(RULES)
    stale.beats["alice", ""] = Beat(NOON, NOON)
    assert stopped(stale, server(active=NOON + 30 * MINUTE), 10) == (90, "idle", 80)


def test_nobody_is_stopped_untold_after_the_culler_was_away():
    assert stopped(Watch(RULES), server(), 500) == (510, "idle", 500)


def test_use_takes_the_notice_back():
    watch = Watch(RULES)
    watch.look([server()], NOON + 55 * MINUTE)
    assert watch.notices
    watch.beats["alice", ""] = Beat(NOON + 56 * MINUTE, NOON + 56 * MINUTE)
    assert watch.look([server()], NOON + 57 * MINUTE) == []
    assert not watch.notices
    assert stopped(watch, server(), 58, beat=lambda now: Beat(now, NOON + 56 * MINUTE))[0] == 116


def test_servers_that_are_gone_are_forgotten():
    watch = Watch(RULES)
    watch.beats["alice", ""] = Beat(NOON, NOON)
    watch.look([], NOON)
    assert not watch.beats


def test_nothing_is_stopped_where_nothing_is_to_be():
    none = Culling(idle=Seconds(0), warning=Seconds(600), age=Seconds(0), every=Seconds(60))
    assert stopped(Watch(none), server(), 0) is None


def test_stops_are_kept(tmp_path):
    stops = Stops(tmp_path / "stops.json")
    for number in range(30):
        stops.add("alice", Stop("", str(number), "idle", ("a.ipynb",), 60))
    again = Stops(tmp_path / "stops.json")
    assert [s.when for s in again.of("alice")] == [str(n) for n in range(29, 9, -1)]
    assert again.of("bob") == []
    (tmp_path / "stops.json").write_text("{broken")
    assert Stops(tmp_path / "stops.json").of("alice") == []


class Known(Hub):
    def who(self, token: str) -> Person:
        return {"a": Person("alice"), "b": Person("bob"), "h": Person(service="home")}.get(token, Person())


class FakeApi:
    def __init__(self, servers) -> None:
        self.all, self.gone = servers, []

    async def servers(self):
        return self.all

    async def stop(self, server) -> None:
        self.gone.append(server)
        self.all.remove(server)


def test_over_http_a_server_is_heard_and_told(tmp_path):
    now = datetime.now(UTC)
    rules = Culling(idle=Seconds(3600), warning=Seconds(0), age=Seconds(0), every=Seconds(3600))
    watch, stops = Watch(rules), Stops(tmp_path / "stops.json")
    api = FakeApi([server(now - timedelta(hours=3), now - timedelta(hours=2))])
    beat = lambda url, token, **told: httpx.post(  # noqa: E731
        f"{url}/beat", json=told, headers={"Authorization": f"token {token or 0}"}
    )
    with served(made(watch, stops, Known(), FakeApi([]))) as url:
        assert beat(url, "", active=now.isoformat()).status_code == 403
        assert beat(url, "a", active="yesterday").status_code == 400
        assert beat(url, "a").status_code == 400
        reply = beat(url, "a", active=(now + timedelta(days=9)).isoformat(), running=["x.ipynb"])
        assert reply.json() == {"notice": None, "stopped": None, "clusters": [], "messages": []}
        assert watch.beats["alice", ""].active <= datetime.now(UTC), "nobody is active in the future"
        asyncio.run(look(watch, stops, api))
        assert api.gone == [], "it is used"
        beat(url, "a", active=(now - timedelta(hours=2)).isoformat(), running=["x.ipynb"])
        asyncio.run(look(watch, stops, api))
        assert [s.person for s in api.gone] == ["alice"]
        told = beat(url, "a", active=now.isoformat()).json()["stopped"]
        assert (told["why"], told["running"], told["after"] // 60) == ("idle", ["x.ipynb"], 120)
        ask = lambda token: httpx.get(f"{url}/stops/alice", headers={"Authorization": f"token {token or 0}"})  # noqa: E731
        assert [ask(t).status_code for t in ("a", "h", "b", "")] == [200, 200, 403, 403]


def test_servers_by_the_thousand_are_not_kept(tmp_path):
    watch, now = Watch(RULES), datetime.now(UTC).isoformat()
    with (
        served(made(watch, Stops(tmp_path / "s"), Known(), FakeApi([]))) as url,
        httpx.Client(headers={"Authorization": "token a"}) as client,
    ):
        codes = [
            client.post(f"{url}/beat", json={"active": now, "server": f"{n:0300}"[::-1]}).status_code for n in range(25)
        ]
        assert codes == [200] * 20 + [400] * 5
        assert client.post(f"{url}/beat", json={"active": now, "server": f"{3:0300}"[::-1]}).status_code == 200, (
            "one that is known"
        )
    assert max(len(name) for _, name in watch.beats) <= 100


@pytest.mark.parametrize("active", [None, 5, "", "2026-13-01"])
def test_damaged_beats_are_refused(tmp_path, active):
    with served(made(Watch(RULES), Stops(tmp_path / "s"), Known(), FakeApi([]))) as url:
        reply = httpx.post(f"{url}/beat", json={"active": active}, headers={"Authorization": "token a"})
        assert reply.status_code == 400
