"""The documentation in a person's own server."""

from __future__ import annotations

import re

import pytest
from tornado.web import HTTPError

from hub.singleuser.home.documents import page
from tests.support.paths import TOP

PAGES = sorted((TOP / "docs").rglob("*.md"))


@pytest.mark.parametrize("file", PAGES, ids=lambda f: str(f.relative_to(TOP / "docs")))
def test_each_page_is_shown_without_what_sphinx_alone_understands(file):
    shown = page(str(file.relative_to(TOP / "docs")))
    assert "<h1" in shown
    assert "{toctree}" not in shown
    assert "<script" not in shown


def test_first_page_lists_them():
    links = re.findall(r'href="([^"]+\.md)"', page(""))
    assert "how-to/recipes.md" in links
    assert all(page(link) for link in links)


@pytest.mark.parametrize("name", ["../README.md", "/etc/passwd", "..%2f", "conf.py", "how-to", "nothing.md"])
def test_nothing_else_of_the_machine_is_shown(name):
    with pytest.raises(HTTPError, match="no such page"):
        page(name)
