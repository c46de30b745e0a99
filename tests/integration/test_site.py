"""The documentation's site: built without a warning, whole, and with nothing of anybody else's."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.paths import TOP

SITE = TOP / "build" / "docs"


class Page(HTMLParser):
    """What a page links to, loads, and can be linked at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {k: v for k, v in attrs if v}
        self.anchors |= {told[k] for k in ("id", "name") if k in told}
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        if tag in ("script", "img", "iframe", "source", "video") and "src" in told:
            self.loads.append(told["src"])
        if tag == "link" and told.get("rel") in ("stylesheet", "icon", "preload", "shortcut icon"):
            self.loads.append(told["href"])


@pytest.fixture(scope="module")
def site() -> dict[Path, Page]:
    from docs import website as site_  # here, since Sphinx takes seconds to import, in each process that collects tests

    assert site_.main() == 0, "Sphinx has warned"
    return {p: Page(p.read_text()) for p in SITE.rglob("*.html") if "_static" not in p.parts}


def test_pages_are_there(site):
    names = {str(p.relative_to(SITE)) for p in site}
    assert {
        "index.html",
        "how-to/recipes.html",
        "how-to/faq.html",
        "how-to/coming-from.html",
        "explanation/design/0001-shape.html",
        "reference/api.html",
        "reference/cli.html",
        "reference/settings.html",
        "operations/operator.html",
        "contributing.html",
    } <= names
    assert sum(n.startswith("tutorial/0") for n in names) == 9
    reference = (SITE / "reference" / "api.html").read_text()
    for function in ("open_cube", "open_tracks", "search", "publish", "plot.image", "plot.compare"):
        assert f"{function}</span>" in reference or f"{function.rpartition('.')[2]}</span>" in reference


def test_links_lead_somewhere(site):
    lost = []
    for path, page in site.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or link in ("#", ""):
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            there = site.get(target)
            if (there is None and not target.exists()) or (
                there and url.fragment and unquote(url.fragment) not in there.anchors
            ):
                lost.append(f"{path.relative_to(SITE)} → {link}")
    assert lost == []


def test_nothing_is_loaded_from_elsewhere(site):
    for path, page in site.items():
        for source in page.loads:
            assert urlsplit(source).scheme in ("", "data"), f"{path.name} loads {source[:80]}"
            if not source.startswith("data:"):
                assert (path.parent / unquote(urlsplit(source).path)).exists(), f"{path.name} loads {source[:80]}"
    for style in (SITE / "_static").glob("*.css"):
        assert "url(http" not in style.read_text().replace('"', "").replace("'", "")
