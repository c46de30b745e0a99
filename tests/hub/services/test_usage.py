"""The accounts of use: sums against a reckoning by hand, limits, who may see what, and metrics for Prometheus alone."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from geodes_lab.policy.lab import Lab
from geodes_lab.policy.limits import verdict
from geodes_lab.policy.reading import read
from geodes_lab.policy.servers import Home, Servers
from geodes_lab.policy.units import Bytes
from hub.servers import group_mounts
from hub.services.hubapi import Server
from hub.services.measure.homes import pause, sizes
from hub.services.person import Hub, Person
from hub.services.usage.accounts import Books
from hub.services.usage.app import made
from hub.services.usage.collector import Collector
from hub.services.usage.records import Session, Use
from tests.support.examples import examples
from tests.support.servers.served import served

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
GIB = 2**30
PEOPLE = {
    "a": Person("alice", frozenset({"geodes", "land"})),
    "b": Person("bob", frozenset({"geodes"})),
    "o": Person("olga", frozenset({"operators"})),
    "d": Person(service="data"),
    "s": Person(service="spawn"),
    "x": Person(service="culler"),
    "g": Person(service="dask-gateway"),
    "m": Person(service="measure"),
}


class Known(Hub):
    def who(self, token: str) -> Person:
        return PEOPLE.get(token, Person())


def lab(**usage) -> Lab:
    file = {
        "login": {"kind": "oidc", "oidc": {"issuer": "https://sso.example.org", "client_id": "lab"}},
        "subdomains": False,
        "servers": {"kind": "accounts"},
        "profiles": {"S": {"title": "S", "cores": 2, "memory": "4 GiB"}},
        "groups": {
            "geodes": {"profiles": ["S"], "quota": {"core_hours": 10, "read": "1 MiB", "storage": "1 GiB"}},
            "operators": {"admin": True},
        },
        "usage": usage,
    }
    return read(Lab, file, "")


def session(
    person="alice", started=NOON, cores=2.0, memory=4 * GIB, groups=("geodes",), server="", profile="S"
) -> Session:
    return Session(person, server, started, profile, cores, memory, groups)


@pytest.fixture
def books(tmp_path) -> Books:
    return Books(tmp_path / "usage.sqlite")


def test_session_counts_from_its_start_to_when_it_was_last_seen(books):
    books.saw([session()], NOON + timedelta(hours=1))
    books.saw([session()], NOON + timedelta(hours=3))
    books.saw([session(server="two")], NOON + timedelta(minutes=30))
    assert books.of("alice", "2026-11") == Use(2 * 3 + 2 * 0.5, 4 * 3 + 4 * 0.5)
    # A look that came late and in the wrong order takes nothing away.
    books.saw([session()], NOON + timedelta(hours=2))
    assert books.of("alice", "2026-11").core_hours == 7


def test_session_over_the_end_of_a_month_counts_in_both(books):
    books.saw([session()], NOON + timedelta(hours=36))
    assert books.of("alice", "2026-11").core_hours == 24
    assert books.of("alice", "2026-12").core_hours == 48
    assert books.of("alice", "2026-10") == Use()


@settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["alice", "bob"]),
            st.integers(0, 90 * 24 * 60),
            st.integers(1, 40 * 24 * 60),
            st.sampled_from([1.0, 2.5, 16.0]),
        ),
        max_size=12,
        unique_by=lambda t: (t[0], t[1]),
    )
)
def test_sums_are_those_of_a_reckoning_by_minutes(tmp_path_factory, several):
    books = Books(tmp_path_factory.mktemp("books") / "usage.sqlite")
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    wanted: dict[tuple[str, str], float] = {}
    for person, start, length, cores in several:
        started = begin + timedelta(minutes=start)
        books.saw([session(person, started, cores)], started + timedelta(minutes=length))
        at = started
        while at < started + timedelta(minutes=length):
            step = min(timedelta(hours=1) - (at - at.replace(minute=0)), started + timedelta(minutes=length) - at)
            key = (person, at.strftime("%Y-%m"))
            wanted[key] = wanted.get(key, 0) + cores * step.total_seconds() / 3600
            at += step
    for (person, month), hours in wanted.items():
        assert books.of(person, month).core_hours == pytest.approx(hours)
        assert books.by_group(month)["geodes"].core_hours == pytest.approx(
            sum(h for (_, m), h in wanted.items() if m == month)
        )


def test_reads_add_up_by_collection_and_group(books):
    groups = {"alice": ("geodes", "land"), "bob": ("geodes",)}
    books.add_reads([("alice", "S2", 100), ("bob", "S2", 10)], groups, NOON)
    books.add_reads([("alice", "S2", 100), ("alice", "S1", 5)], groups, NOON + timedelta(hours=11))
    assert books.by_collection("2026-11") == {"S2": 210, "S1": 5}
    assert books.by_collection("2026-11", "alice") == {"S2": 200, "S1": 5}
    assert books.of("alice", "2026-11").read == 205
    assert {g: u.read for g, u in books.by_group("2026-11").items()} == {"geodes": 215, "land": 205}


def test_old_names_are_forgotten_and_their_sums_stay(books):
    books.saw([session(), session("bob")], NOON + timedelta(hours=1))
    books.add_reads([("alice", "S2", 100), ("bob", "S2", 10)], {}, NOON)
    before = (books.by_group("2026-11"), books.by_collection("2026-11"), books.by_profile("2026-11"))
    for _ in range(2):  # again changes nothing
        books.forget(NOON + timedelta(days=1))
        assert set(books.by_person("2026-11")) == {""}
        assert books.by_person("2026-11")[""].core_hours == pytest.approx(4)
        after = books.by_group("2026-11")["geodes"]
        assert after.core_hours == pytest.approx(before[0]["geodes"].core_hours)
        assert books.by_collection("2026-11") == before[1]
    assert b"alice" not in books._file.read_bytes()


@pytest.mark.parametrize(
    ("use", "allowed", "word"),
    [
        (Use(core_hours=9.9), True, ""),
        (Use(core_hours=10), False, "10 of 10 core-hours"),
        (Use(read=2**20), False, "1 MiB of 1 MiB read from the datalake"),
        (Use(storage=2 * GIB), True, ""),
    ],
)
def test_limits(use, allowed, word):
    told = verdict(asdict(use), {"geodes"}, lab())
    assert (told.allowed, word in told.reason) == (allowed, True)
    assert verdict(asdict(use), {"operators"}, lab()).allowed, "no limit"


class FakeApi:
    """The hub's answers, without a hub."""

    def __init__(self) -> None:
        self.running = [
            Server("alice", "", ("geodes", "land"), datetime.now(UTC) - timedelta(hours=1), NOON, "S", True)
        ]

    async def people(self) -> tuple[dict[str, tuple[str, ...]], list[Server]]:
        return {p.name: tuple(p.groups) for p in PEOPLE.values() if p.name}, self.running


@pytest.fixture
def url(tmp_path, books) -> Iterator[str]:
    token = tmp_path / "metrics"
    token.write_text("prometheus-token\n")
    (tmp_path / "alice").mkdir()
    (tmp_path / "alice" / "file").write_bytes(os.urandom(100_000))
    told = lab(metrics_token_file=str(token))
    collector = Collector(told, books, FakeApi())
    with served(made(told, books, collector, Known())) as address:
        for _ in range(100):
            if collector.looked:
                break
            __import__("time").sleep(0.05)
        found = {f"lab-{name}": n for name, n in sizes(tmp_path).items()}
        head = {"Authorization": "token m"}
        assert httpx.post(f"{address}/api/storage", json={"homes": found}, headers=head).status_code == 204
        yield address


def get(url: str, path: str, token: str = "", **options) -> httpx.Response:
    return httpx.get(f"{url}/{path}", headers={"Authorization": f"token {token}"} if token else {}, **options)


def test_gateway_on_kubernetes_is_told_what_workers_mount(books):
    told = lab()
    told = replace(told, servers=Servers("kubernetes"), home=Home(groups="/srv/groups"))
    with served(made(told, books, Collector(told, books, FakeApi()), Known())) as address:
        mounts = get(address, "api/limits/alice?group=geodes&group=land", "g").json()["mounts"]
    assert mounts == group_mounts.mounts("alice", ["geodes"], told), "land is no group of the operator's file"
    assert [m["readOnly"] for m in mounts] == [True, False]


def test_own_use_is_for_oneself_and_all_of_it_for_operators(url):
    mine = get(url, "api/mine", "a").json()
    assert mine["core_hours"] == pytest.approx(2, rel=0.01)
    assert mine["memory_hours"] == pytest.approx(4, rel=0.01)
    assert mine["storage"] >= 100_000
    assert get(url, "api/mine", "b").json()["core_hours"] == 0
    assert get(url, "api/mine").status_code == 403
    for path in ("all", "export.csv", "export.json", "metrics"):
        assert [get(url, path, t).status_code for t in ("a", "x")] in ([403, 403], [403, 307]), path
        assert get(url, path, "o").status_code == 200, path
    assert get(url, "api/limits/alice", "s").json()["allowed"] is True
    assert get(url, "api/used", "s").json()["alice"]["core_hours"] == pytest.approx(2, rel=0.01)
    assert [get(url, "api/used", t).status_code for t in ("a", "o", "x")] == [403, 403, 403]
    assert get(url, "api/limits/alice", "b").status_code == 403
    # The hub says the groups as of now; a person does not choose their own.
    assert get(url, "api/limits/alice?group=operators", "s").json()["parts"] == {}
    assert get(url, "api/limits?group=operators", "a").json()["parts"] != {}
    # A gateway asks how much Dask somebody may have.
    assert get(url, "api/limits/alice?group=geodes", "g").json()["dask"] == {
        "clusters": 1,
        "cores": 8,
        "memory": 32 * GIB,
    }
    assert "mounts" not in get(url, "api/limits/alice?group=geodes", "g").json(), (
        "folders on one machine are nobody's mount"
    )
    assert get(url, "api/limits/alice", "x").status_code == 403
    assert get(url, "api/limits", "a").json()["parts"]["core_hours"] == pytest.approx(0.2, rel=0.01)


def test_reads_come_from_the_gate_alone_and_refuse_who_has_read_enough(url):
    rows = [{"person": "bob", "collection": "=S2", "bytes": 2**20}]
    post = lambda token: httpx.post(  # noqa: E731
        f"{url}/api/reads", json=rows, headers={"Authorization": f"token {token}"}
    )
    assert post("b").status_code == post("o").status_code == 403
    assert "bob" in post("d").json()["refused"]
    told = get(url, "api/limits/bob", "s").json()
    assert not told["allowed"]
    assert "Your quota of this month is used up" in told["reason"]
    lines = list(csv.DictReader(io.StringIO(get(url, "export.csv", "o").text)))
    by_name = {(line["kind"], line["name"]): line for line in lines}
    assert by_name["person", "bob"]["read"] == str(2**20)
    assert by_name["collection", "'=S2"]["read"] == str(2**20), "no formula for a spreadsheet"
    assert {r["kind"] for r in get(url, "export.json", "o").json()["rows"]} == {"person", "group", "collection"}


def test_pages_speak_french_and_english(url):
    english, french = get(url, "", "a").text, get(url, "?lang=fr", "a").text
    assert '<html lang="en">' in english
    assert "My usage" in english
    assert '<html lang="fr">' in french
    assert "Heures de cœur" in french
    assert "<script" not in english + french
    assert "Usage of all" not in english
    assert "Usage of all" in get(url, "", "o").text
    assert get(url, "?month=nonsense", "a").status_code == 200
    assert get(url, "", "").status_code == 307, "who has not logged in is sent to"


def test_metrics_are_for_prometheus(url):
    assert get(url, "metrics").status_code == 403
    assert get(url, "metrics", "wrong").status_code == 403
    text = get(url, "metrics", "prometheus-token").text
    found = {
        f.name: {tuple(v for _, v in sorted(s.labels.items())): s.value for s in f.samples}
        for f in text_string_to_metric_families(text)
    }
    assert found["geodes_lab_up"][()] == 1
    assert found["geodes_lab_running_servers"]["S",] == 1
    assert found["geodes_lab_month_core_hours"]["land",] == pytest.approx(2, rel=0.01)
    assert found["geodes_lab_quota_used_ratio"]["core_hours", "alice"] == pytest.approx(0.2, rel=0.01)


def test_home_that_was_not_measured_is_not_called_empty(url, books):
    assert get(url, "api/mine", "b").json()["storage"] is None
    assert "not measured yet" in get(url, "", "b").text
    assert "pas encore mesuré" in get(url, "?lang=fr", "b").text
    lines = list(csv.DictReader(io.StringIO(get(url, "export.csv", "o").text)))
    assert {line["name"]: line["storage"] for line in lines if line["kind"] == "person"}["alice"] >= "100000"


def test_quota_of_homes_is_counted_wherever_it_is_said(books):
    told = replace(lab(), home=Home(quota=Bytes(GIB)))
    assert verdict({"storage": 3 * GIB}, {"operators"}, told).parts["storage"] == 3
    assert verdict({"storage": 3 * GIB}, {"operators"}, told).allowed, "a full home needs a server to be emptied"
    assert "storage" not in verdict({"storage": None}, {"operators"}, told).parts


def test_homes_that_are_measured_quickly_are_measured_often():
    assert [pause(took) for took in (0.01, 1, 10, 500)] == [15, 19, 190, 600]


def test_nobody_says_how_large_another_s_home_is(url):
    """Nor one's own, where it is measured: that would be a way around the quota."""
    for token in ("a", "o", "x", "s", "unknown"):
        for body in ({"bytes": 1}, {"homes": {"lab-alice": 1}}):
            reply = httpx.post(f"{url}/api/storage", json=body, headers={"Authorization": f"token {token}"})
            assert reply.status_code == 403, token
    assert get(url, "api/mine", "a").json()["storage"] >= 100_000
    head = {"Authorization": "token m"}
    for strange in ([], {"homes": 5}, {"homes": {"lab-alice": "many"}}, {"homes": {"lab-alice": -5}}, {}):
        assert httpx.post(f"{url}/api/storage", json=strange, headers=head).status_code in (204, 400)
