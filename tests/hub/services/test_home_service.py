"""The first page and the news: what is published, by whom, in both languages, as a page and as a feed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from geodes_lab.acquisition.ledger.tables import Database
from geodes_lab.acquisition.news import tell, write
from geodes_lab.acquisition.settings.storing import State
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.reading import read
from hub.services.home.app import Reception, made
from hub.services.home.news import News
from hub.services.person import Hub, Person
from tests.support.servers.served import served

ATOM = "{http://www.w3.org/2005/Atom}"
LAB = read(
    Lab,
    {
        "login": {"kind": "oidc", "oidc": {"issuer": "https://sso.example.org", "client_id": "lab"}},
        "subdomains": False,
        "servers": {"kind": "accounts"},
        "groups": {"geodes": {}, "operators": {"admin": True}},
    },
    "",
)
NEWS = {
    "kind": "products",
    "title": "Baseline <05.11>",
    "text": "Offsets & all.",
    "titre": "Version 05.11",
    "texte": "Décalages.",
}


class Known(Hub):
    """A hub of two people, by token or by a cookie of that name."""

    def who(self, token: str) -> Person:
        people = {"a": Person("alice", frozenset({"geodes"})), "o": Person("olga", frozenset({"operators"}))}
        return people.get(token, Person())

    def person(self, request) -> Person:
        if kept := request.cookies.get("as"):
            return Person(**{**vars(self.who(kept)), "by_cookie": True})
        return super().person(request)


@pytest.fixture
def news(tmp_path) -> News:
    return News(tmp_path / "news.json")


@pytest.fixture
def url(news) -> Iterator[str]:
    with served(made(Reception(LAB, news, Known()))) as address:
        yield address


def publish(url: str, token: str, **told) -> httpx.Response:
    return httpx.post(f"{url}/news", json=told, headers={"Authorization": f"token {token}"})


def test_operators_publish_and_everybody_reads(url):
    assert publish(url, "a", **NEWS).status_code == 403
    assert publish(url, "x", **NEWS).status_code == 403
    made = publish(url, "o", **NEWS)
    assert made.status_code == 201
    assert [a["title"] for a in httpx.get(f"{url}/api/news").json()] == ["Baseline <05.11>"]
    page = httpx.get(url, headers={"Accept-Language": "en"}).text
    assert "Baseline &lt;05.11&gt;" in page
    assert "Offsets &amp; all." in page
    assert "Version 05.11" in httpx.get(url, headers={"Accept-Language": "fr"}).text

    def remove(token: str) -> int:
        address = f"{url}/news/{made.json()['id']}/remove"
        return httpx.post(address, headers={"Authorization": f"token {token}"}).status_code

    assert [remove("a"), remove("o"), remove("o")] == [403, 204, 404]
    assert httpx.get(f"{url}/api/news").json() == []


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({}, "the title is missing"),
        ({"title": "x", "kind": "party"}, "the kind must be one of"),
        ({"title": "x", "colour": "red"}, "'colour' is not known"),
        ({"title": "x" * 5000}, "4000 characters"),
        ({"title": "x", "until": "soon"}, "soon"),
    ],
)
def test_what_is_no_announcement_is_refused(url, told, why):
    reply = publish(url, "o", **told)
    assert reply.status_code == 400
    assert why in reply.json()["detail"]


@pytest.mark.attack
def test_form_of_another_site_publishes_nothing(url):
    form = {"title": "Fake", "kind": "network"}
    for site in ("cross-site", "same-site", "none", ""):
        headers = {"Sec-Fetch-Site": site} if site else {}
        assert httpx.post(f"{url}/news", data=form, cookies={"as": "o"}, headers=headers).status_code == 403
    mine = httpx.post(f"{url}/news", data=form, cookies={"as": "o"}, headers={"Sec-Fetch-Site": "same-origin"})
    assert mine.status_code == 303
    assert httpx.get(f"{url}/api/news").json()[0]["kind"] == "network"


def test_feed_is_atom(url):
    publish(url, "o", **NEWS)
    publish(url, "o", title="Second")
    feed = ET.fromstring(httpx.get(f"{url}/feed.atom", headers={"Accept-Language": "en"}).content)
    assert feed.tag == f"{ATOM}feed"
    for needed in ("id", "title", "updated", "author"):
        assert feed.find(f"{ATOM}{needed}") is not None
    entries = feed.findall(f"{ATOM}entry")
    assert [e.findtext(f"{ATOM}title") for e in entries] == ["Second", "Baseline <05.11>"]
    assert len({e.findtext(f"{ATOM}id") for e in entries}) == 2
    assert datetime.fromisoformat(entries[0].findtext(f"{ATOM}updated")).tzinfo


def test_news_ends(news):
    news.add({"title": "over", "until": (datetime.now(UTC) - timedelta(hours=1)).isoformat()})
    news.add({"title": "still", "until": (datetime.now(UTC) + timedelta(hours=1)).isoformat()})
    assert [a.title for a in news.all()] == ["still"]
    assert [a.title for a in News(news._file).all()] == ["still"], "they are kept"


def test_page_for_who_has_not_logged_in(url):
    page = httpx.get(url, headers={"Accept-Language": "de, fr;q=0.5"}).text
    assert '<html lang="fr">' in page
    assert "Se connecter" in page
    chosen = httpx.get(f"{url}/?lang=en", headers={"Accept-Language": "fr"})
    assert '<html lang="en">' in chosen.text
    assert chosen.cookies["geodes-lang"] == "en"


def test_page_of_a_person_shows_the_ways_in(url):
    page = httpx.get(url, headers={"Authorization": "token a", "Accept-Language": "en"})
    for word in ("Welcome, alice", "My server", "Catalogue", "Notebooks", "My clusters", "My usage", "News"):
        assert word in page.text
    assert "Publish an announcement" not in page.text
    assert (
        "Publish an announcement" in httpx.get(url, headers={"Authorization": "token o", "Accept-Language": "en"}).text
    )
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "<script" not in page.text


def test_newest_of_the_datalake_is_on_the_page(news, tmp_path):
    """The engine's own feed, of a real ledger; hostile text is text, and a page without a feed says nothing."""
    lab = replace(LAB, catalogue=replace(LAB.catalogue, news=str(tmp_path / "feed")))
    database = Database(State(folder=tmp_path / "state"))
    with database.change() as c:
        tell(c, "baseline", "cdse/S2MSI1C <b>05.11</b>", "cdse publishes <b>05.11</b>.", {}, 1.7e9)
        tell(c, "outage", "cdse/1", "cdse cannot be read.", {}, 1.7e9 + 1)
        for n in range(20):
            tell(c, "arrival", f"S2/{n}", f"product {n} is in S2.", {"product": f"product {n}"}, 1.7e9 + 2 + n)
    with served(made(Reception(lab, news, Known()))) as url:

        def page(tongue: str) -> str:
            return httpx.get(url, headers={"Accept-Language": tongue}).text

        assert "From the datalake" not in page("en")
        write(database, tmp_path / "feed")
        english, french = page("en"), page("fr")
        assert "From the datalake" in english
        assert "cdse publishes &lt;b&gt;05.11&lt;/b&gt;." in english
        assert "cdse publie une nouvelle version de traitement, S2MSI1C &lt;b&gt;05.11&lt;/b&gt;." in french
        assert "cdse ne peut pas être lu." in french
        assert english.count("is in S2.") == 3
        for bad in ("{", "[]", '{"items": [{"title": 3}, null, {}]}', '{"items": ' + "[" * 10**5):
            (tmp_path / "feed" / "news.json").write_text(bad)
            assert "From the datalake" not in page("en")
        (tmp_path / "feed" / "news.json").write_bytes(b" " * (2**22 + 1))
        assert "From the datalake" not in page("en")
