"""The hub's own pages: JupyterHub's phrases in French and nothing else, and operators' messages that do not hold a page up."""

from __future__ import annotations

import asyncio
import html
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from hub.front import face
from hub.front.face import french
from hub.front.messages import Board
from tests.support.servers.served import served

TEMPLATES = Path(sys.prefix) / "share" / "jupyterhub" / "templates"


def test_phrases_of_jupyterhub_are_translated():
    page = '<h1 id="refresh">JupyterHub home page</h1><a role="button"\n href="/x">\n  Start\n\n  My Server\n</a>'
    said = french(page)
    assert "Démarrer mon serveur" in said
    assert 'id="refresh"' in said
    assert re.sub(r"\s+", " ", french("<p>\n Your server  is not running.\n  Would you like to start it?\n</p>")) == (
        "<p> Votre serveur n'est pas en marche. Voulez-vous le démarrer ?\n</p>".replace("\n", " ")
    )


def test_every_phrase_is_still_in_a_template_of_jupyterhub():
    """Another version may say it in other words: then it would stay English, and nobody would see it."""
    whole = " ".join(p.read_text() for p in TEMPLATES.glob("*.html"))
    # What stands between two expressions, without them ("Your server {{ name }} is not running."), with and without what
    # stands in the second branch of a condition.
    several = (whole, re.sub(r"{%-? else -?%}.*?{%-? endif -?%}", " ", whole, flags=re.S))
    bare = " ".join(" ".join(re.sub(r"{[{%].*?[%}]}", " ", text, flags=re.S).split()) for text in several)
    assert [p for p in face._FRENCH if p not in bare] == []


@given(st.text(max_size=60))
def test_what_a_person_wrote_stays(text):
    """Names and reasons stand in sentences of their own, never alone in a tag."""
    written = f"<p>Sentence of {html.escape(text)} here</p>"
    said = french(written)
    if not any(phrase in " ".join(written.split()) for phrase in face._FRENCH):
        assert said == written
    assert said.count("<") == written.count("<")


@pytest.fixture
def culler():
    now = datetime.now(UTC)
    messages = [
        {"to": to, "text": text, "by": "olga", "until": (now + timedelta(hours=hours)).isoformat()}
        for to, text, hours in (("", "all", 1), ("alice", "hers", 1), ("bob", "his", 1), ("", "old", -1))
    ]

    async def answer(request) -> JSONResponse:
        allowed = request.headers["authorization"] == "token t"
        return JSONResponse(messages if allowed else {}, 200 if allowed else 403)

    with served(Starlette(routes=[Route("/messages", answer)])) as url:
        assert httpx.get(f"{url}/messages", headers={"Authorization": "token x"}).status_code == 403
        yield url


def test_board_shows_each_person_theirs(culler):
    async def look() -> list[list[str]]:
        board = Board(culler, "t")
        first = board.to("alice")
        await board._asking
        return [[m["text"] for m in several] for several in (first, board.to("alice"), board.to("carl"))]

    assert asyncio.run(look()) == [[], ["all", "hers"], ["all"]]


def test_board_without_a_culler_shows_nothing(culler):
    async def look() -> list[dict]:
        for board in (Board("http://127.0.0.1:9", "t"), Board(culler, "wrong")):
            await board.refresh()
            assert board.to("alice") == []
        return []

    assert asyncio.run(look()) == []
