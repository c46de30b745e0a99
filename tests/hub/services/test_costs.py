"""What use costs: sums that are those of their parts, months that keep their prices, budgets, and the operator's file."""

from __future__ import annotations

import csv
import html
import io
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geodes_lab.policy.lab import Lab
from geodes_lab.policy.prices import Tariff
from geodes_lab.policy.reading import Refused, read
from geodes_lab.policy.units import Price
from hub.services.hubapi import Server
from hub.services.person import Hub, Person
from hub.services.usage.accounts import Books
from hub.services.usage.app import made
from hub.services.usage.bill import Cost, bill
from hub.services.usage.collector import Collector
from hub.services.usage.costs import Costs, written
from hub.services.usage.records import Item, Session
from hub.services.usage.report import report, rows
from tests.support.awaiting import awaited
from tests.support.examples import examples
from tests.support.servers.served import served

NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
GIB, GB = 2**30, 10**9
PEOPLE = {
    "a": Person("alice", frozenset({"geodes", "land"})),
    "b": Person("bob", frozenset({"geodes"})),
    "o": Person("olga", frozenset({"operators"})),
    "op": Person(service="operators"),
    "s": Person(service="spawn"),
}
FILE = {
    "login": {"kind": "oidc", "oidc": {"issuer": "https://sso.example.org", "client_id": "lab"}},
    "subdomains": False,
    "servers": {"kind": "accounts"},
    "profiles": {"S": {"title": "S", "cores": 2, "memory": "4 GiB"}, "GPU": {"title": "GPU", "cores": 8}},
    "groups": {"geodes": {"profiles": ["S"]}, "land": {}, "operators": {"admin": True}},
    "prices": {
        "currency": "EUR",
        "core_hour": 0.05,
        "memory_hour": "0.01",
        "sizes": {"GPU": 2},
        "storage_gb_month": 0.02,
        "read_gb": 0.1,
    },
    "projects": {"cover": {"title": "Land cover", "groups": ["land"]}, "floods": {"people": ["bob", "alice"]}},
    "budgets": {"person": 10, "people": {"bob": 100}, "groups": {"geodes": 20}, "projects": {"cover": 8}},
}


def lab(**sections) -> Lab:
    return read(Lab, {**FILE, **sections}, "")


@pytest.fixture
def books(tmp_path) -> Books:
    return Books(tmp_path / "usage.sqlite")


def session(person="alice", hours=10.0, size="S", groups=("geodes", "land"), started=NOON) -> tuple[Session, datetime]:
    cores, memory = {"S": (2.0, 4 * GIB), "GPU": (8.0, 32 * GIB)}[size]
    return Session(person, "", started, size, cores, memory, groups), started + timedelta(hours=hours)


def run(books: Books, *several: tuple[Session, datetime]) -> None:
    for one, seen in several:
        books.saw([one], seen)


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        ({"prices": {"core_hour": 1}}, "prices: there is a price without a currency"),
        ({"prices": {"currency": "euro"}}, "prices: the currency 'euro' is not three capital letters"),
        ({"prices": {"currency": "EUR", "core_hour": -1}}, "prices.core_hour: -1 is not a price such as 0.05"),
        ({"prices": {"currency": "EUR", "core_hour": "1 EUR"}}, "prices.core_hour: '1 EUR' is not a price"),
        ({"prices": {"currency": "EUR", "core_hour": True}}, "prices.core_hour: True is not a price"),
        ({"prices": {"currency": "EUR", "core_hour": float("nan")}}, "prices.core_hour: nan is not a price"),
        ({"prices": {"currency": "EUR", "core_hour": 1e10}}, "prices.core_hour: 10000000000.0 is not a price"),
        ({"prices": {"currency": "EUR", "sizes": {"XXL": 1}}}, "prices.sizes has 'XXL', which is not in `profiles`"),
        ({"prices": {"currency": "EUR", "core_hours": 1}}, "prices.core_hours is not known: did you mean 'core_hour'"),
        ({"projects": {"empty": {}}}, "projects.empty: the project has nobody"),
        ({"budgets": {"groups": {"lnd": 1}}}, "budgets.groups has 'lnd', which is not in `groups`"),
        ({"budgets": {"projects": {"x": 1}}}, "budgets.projects has 'x', which is not in `projects`"),
        ({"budgets": {"warn": 80}}, "budgets: warn is a part below 1"),
        ({"budgets": {"person": 0}}, "budgets: the budget of person is 0"),
        ({"prices": {}}, "budgets needs prices"),
    ],
)
def test_operator_s_file_that_is_wrong_is_refused_in_a_sentence(sections, why):
    with pytest.raises(Refused, match=re.escape(why)):
        lab(**sections)


def test_prices_are_exact():
    prices = lab().prices
    assert prices.core_hour == Decimal("0.05"), "not the nearest binary number"
    assert str(Price.read(1200)) == "1200"
    assert str(Price.read("0.000001")) == "0.000001"


def test_use_is_charged_by_size_cores_bytes_and_days(books):
    run(books, session(), session("bob", 3, "GPU", ("geodes",)))
    books.set_storage({"alice": 100 * GB, "bob": 0}, NOON)
    for day in range(15):  # half of the month
        books.keep_storage({"alice": ("geodes", "land")}, NOON + timedelta(days=day))
    books.add_reads([("bob", "S2", 5 * GB)], {"bob": ("geodes",)}, NOON)
    made = bill("2026-11", books.items("2026-11"), lab().tariff)
    # 10 h of 2 cores and 4 GiB; 100 GB for half a month
    assert made.by("person")["alice"] == Cost(Decimal("1.40"), Decimal("1.00"))
    # 3 h of a size with a price of its own, whatever its cores are
    assert made.by("person")["bob"] == Cost(Decimal("6.00"), read=Decimal("0.50"))
    assert made.by("project") == {"cover": made.by("person")["alice"], "floods": made.by("person")["bob"]}
    assert made.by("group")["geodes"].total == made.whole.total == Decimal("8.90")
    assert made.by("group")["land"].total == Decimal("2.40")


def test_home_is_counted_once_a_day_and_only_of_people_who_are_known(books):
    books.set_storage({"alice": GB, "gone": GB}, NOON)
    for minute in range(5):
        books.keep_storage({"alice": ()}, NOON + timedelta(minutes=minute))
    books.set_storage({"alice": 3 * GB}, NOON)
    books.keep_storage({"alice": ()}, NOON + timedelta(hours=1))
    assert [(i.person, i.byte_days) for i in books.items("2026-11")] == [("alice", 3 * GB)]


def test_past_month_keeps_its_prices_projects_and_budgets(books):
    run(books, session(), session(hours=10, started=NOON + timedelta(days=30)))
    costs = Costs(books)
    assert costs.bill("2026-11").currency == "", "no prices were set yet"
    books.set_tariff(written(lab().tariff), NOON)
    dearer = lab(prices={"currency": "EUR", "core_hour": 1}, projects={"floods": {"people": ["alice"]}}, budgets={})
    books.set_tariff(written(dearer.tariff), NOON + timedelta(days=30))
    past, present = Costs(books).bill("2026-11"), Costs(books).bill("2026-12")
    assert past.tariff == lab().tariff
    assert past.by("project") == {"cover": Cost(Decimal("1.40"))}
    assert present.by("project") == {"floods": Cost(Decimal("20.00"))}
    assert Costs(books).bill("2027-01").tariff == dearer.tariff, "the last that is known"
    assert Costs(books).bill("2026-10").currency == ""


LINES = st.lists(
    st.builds(
        Item,
        st.sampled_from(["alice", "bob", "", "carl"]),
        st.sets(st.sampled_from(["geodes", "land", "sea"])).map(lambda g: tuple(sorted(g))),
        st.sampled_from(["server", "storage", "read"]),
        st.sampled_from(["S", "GPU", ""]),
        *[st.floats(0, 1e5)] * 3,
        *[st.integers(0, 10**15)] * 2,
    ),
    max_size=25,
)


@settings(max_examples=examples(60), deadline=None)
@given(LINES)
def test_report_is_the_sum_of_its_parts_and_the_csv_is_the_page(items):
    made = bill("2026-11", items, lab().tariff)
    lines = sum((line.amount for line in made.lines), Decimal(0))
    assert made.whole.total == lines
    for kind in ("person", "project"):
        assert sum((c.total for c in made.by(kind).values()), Decimal(0)) == lines
    for group in ("geodes", "land", "sea"):
        mine = sum((line.amount for line in made.lines if group in line.groups), Decimal(0))
        assert made.by("group").get(group, Cost()).total == mine
    assert all(line.amount == line.amount.quantize(Decimal("0.01")) for line in made.lines)
    # The figures of the page and of the CSV, in their order.
    page = report("en", made)[1]
    seen = []
    for table in re.findall(r'<table id="(\w+)">.*?<tbody>(.*?)</tbody>', page, re.S):
        for row in re.findall(r"<tr.*?</tr>", table[1]):
            name = html.unescape(re.search(r"<th[^>]*>(.*?)</th>", row)[1])
            cells = [Decimal(c.replace(",", "")) for c in re.findall(r"<td>([\d.,]+)</td>", row)[:4]]
            seen.append((table[0], name, cells))
    names = {"": {"project": "(no project)", "person": "(names no longer stored)"}, "cover": {"project": "Land cover"}}
    wanted = [(r[1], names.get(r[2], {}).get(r[1], r[2]), r[3:7]) for r in rows(made)]
    total = wanted.pop()[2]
    assert [s for s in seen if s[1] != "Total"] == wanted
    assert [s[2] for s in seen if s[1] == "Total"] == [total] * 2


@settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.sampled_from(["alice", "bob"]), st.integers(0, 27), st.integers(1, 2000)),
        max_size=8,
        unique_by=lambda t: t[:2],
    ),
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
)
def test_what_is_forgotten_keeps_what_it_cost(tmp_path_factory, several, days):
    """Also when it is forgotten in several steps, as a service does that runs each day."""
    books = Books(tmp_path_factory.mktemp("books") / "usage.sqlite")
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    for person, day, minutes in several:
        run(books, session(person, min(minutes / 60, 24 * (29 - day)), "GPU", ("geodes",), begin + timedelta(days=day)))
    tariff = lab(projects={"all": {"groups": ["geodes"]}}, budgets={}).tariff
    exact = sum(Decimal(i.hours) for i in books.items("2026-11"))
    for day in sorted(days):
        books.forget(begin + timedelta(days=day))
    after = books.items("2026-11")
    assert float(sum(Decimal(i.hours) for i in after)) == pytest.approx(float(exact))
    charged = bill("2026-11", after, tariff).by("project").get("all", Cost()).total
    assert float(charged) == pytest.approx(float(exact * 2), abs=0.02)


def test_accounts_of_an_earlier_version_are_taken_over(tmp_path):
    file = tmp_path / "usage.sqlite"
    with sqlite3.connect(file) as former:
        former.execute(
            "create table sessions (person text, server text, started real, seen real, profile text, cores real, "
            "memory real, groups text, primary key (person, server, started)) without rowid"
        )
        row = ("alice", "", NOON.timestamp(), NOON.timestamp() + 3600, "GPU", 8, 32, '["geodes"]')
        former.execute("insert into sessions values (?, ?, ?, ?, ?, ?, ?, ?)", row)
    for _ in range(2):
        (item,) = Books(file).items("2026-11")
        assert (item.hours, item.core_hours) == (1, 8)


def test_budgets_are_said_at_80_percent_and_at_all_of_it(books):
    books.set_tariff(written(lab().tariff), NOON)
    run(books, session(hours=50))  # 7.00
    near = Costs(books).bill("2026-11").near()
    assert [(s.kind, s.name, s.part) for s in near] == [("project", "cover", Decimal("0.875"))]
    run(books, session(hours=80))  # 11.20
    told = Costs(books).of("alice", ("geodes", "land"), "2026-11")
    assert [(b["kind"], b["name"], b["over"]) for b in told] == [("person", "alice", True), ("project", "cover", True)]
    assert (told[0]["spent"], told[0]["budget"], told[0]["currency"]) == ("11.20", "10", "EUR")
    assert Costs(books).of("bob", ("geodes",), "2026-11") == [], "bob has spent nothing, and geodes less than 80 %"


class FakeApi:
    async def people(self) -> tuple[dict[str, tuple[str, ...]], list[Server]]:
        now = datetime.now(UTC)
        running = [Server("alice", "", ("geodes", "land"), now - timedelta(hours=0.1), now, "S", True)]
        return {p.name: tuple(sorted(p.groups)) for p in PEOPLE.values() if p.name}, running


class Known(Hub):
    def who(self, token: str, session: str = "") -> Person:
        return PEOPLE.get(token, Person())


def test_over_http_report_notices_and_who_may_see_them(books):
    now = datetime.now(UTC)
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    dear = lab(prices={"currency": "EUR", "core_hour": 1, "read_gb": 30})
    books.add_reads([("alice", "S2", GB)], {"alice": ("geodes", "land")}, begin)
    collector = Collector(dear, books, FakeApi())
    with served(made(dear, books, collector, Known())) as url:
        awaited(lambda: collector.looked, 20)
        get = lambda path, token: httpx.get(  # noqa: E731
            f"{url}/{path}", headers={"Authorization": f"token {token}", "Accept-Language": "en"}
        )
        for path in ("costs", "costs.csv"):
            assert [get(path, t).status_code for t in ("a", "b", "o")] == [403, 403, 200]
        assert [get("api/budgets", t).status_code for t in ("a", "o", "s", "op")] == [403, 403, 403, 200]
        lines = list(csv.DictReader(io.StringIO(get("costs.csv", "o").text)))
        total = next(line for line in lines if line["kind"] == "total")
        assert Decimal(total["total"]) >= 30
        assert total["month"] == now.strftime("%Y-%m")
        mine = get("api/budgets/mine", "a").json()["budgets"]
        assert {(b["kind"], b["name"], b["over"]) for b in mine} == {
            ("person", "alice", True),
            ("group", "geodes", True),
            ("project", "cover", True),
        }
        assert [b["kind"] for b in get("api/budgets/mine", "b").json()["budgets"]] == ["group"]
        assert len(get("api/budgets", "op").json()["budgets"]) == 3
        assert get("api/limits/alice?group=geodes", "s").json()["budgets"]
        page = get("", "a").text
        assert "My costs" in page
        assert "of your budget of 10.00 EUR is spent" in page
        assert "Dépensé" in get("costs?lang=fr", "o").text
        assert "No prices are set for this month" in get("costs?month=2020-01", "o").text
        assert get("api/limits/alice", "s").json()["allowed"], "a budget stops nothing"


def test_tariff_is_read_as_it_was_written():
    tariff = lab().tariff
    assert read(Tariff, __import__("json").loads(written(tariff)), "") == tariff
