"""What comes from a catalogue or a product is text wherever it is shown: never markup, code, mathematics, or an order to a terminal."""

from __future__ import annotations

import io
import json
import re
import sys
import warnings
from html.parser import HTMLParser

import dask.array as da
import numpy as np
import pandas as pd
import pystac
import pytest
import xarray as xr
from click.testing import CliRunner

import geodes_lab as gl
from geodes_lab.catalog.items import Items
from geodes_lab.cli import main
from geodes_lab.errors import GeodesError, shown
from geodes_lab.planning import report
from geodes_lab.util import progress
from geodes_lab.util.pystac_safe import display as pystac_html
from tests.support.browser import chromium, needs_chromium
from tests.support.servers.witness import Witness, api, collection, item

pytestmark = pytest.mark.attack

# Each ends what it may stand in, and begins what runs: elements, attributes, styles, scripts, templates.
MARKUP = """'"--></style></script></textarea></title><img src=x onerror=ran(1)><svg onload=ran(1)><a href="javascript:ran(1)">x</a>{{7*7}}{% raw %}"""
STEERS = "\x1b[2J\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x9b31m\r\n\u202etxt.exe\u2028[red]x[/red][link=http://elsewhere.example]y[/link][/]"
ODD = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]")


class Elements(HTMLParser):
    """The elements of a page, and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names, self.attributes, self.texts = set[str](), set[tuple[str, str]](), list[str]()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.names.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def harmless(page: str, *more: str) -> Elements:
    """No element or attribute of the payload is in a page."""
    seen = Elements(page)
    usual = {
        "div",
        "span",
        "ul",
        "li",
        "details",
        "summary",
        "style",
        "p",
        "b",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert seen.names <= usual | set(more)
    assert not [a for a, _ in seen.attributes if a.startswith("on") or a in ("href", "srcdoc")]
    assert not [v for a, v in seen.attributes if a == "src" and not v.startswith("data:image/")]
    assert not [v for _, v in seen.attributes if "javascript:" in v]
    return seen


def hostile(text: str) -> pystac.Item:
    """An Item that says the text wherever it can."""
    made = pystac.Item(
        text, {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}, [0, 0, 1, 1], pystac.utils.str_to_datetime("2021-01-01T00:00:00Z"),
        {text: text, "nested": {text: [text, {text: text}]}, "platform": text, "grid:code": text, "eo:cloud_cover": text, "title": text, "identifier": text},
        collection=text, extra_fields={text: text},
    )  # fmt: skip
    made.add_asset(text, pystac.Asset(f"s3://bucket/{text}", text, text, text, [text], {text: text}))
    made.add_link(pystac.Link("via", f"https://a/{text}", text, text, {text: text}))
    return made


def hostile_collection(text: str) -> pystac.Collection:
    made = pystac.Collection(
        text, text, pystac.Extent(pystac.SpatialExtent([[0, 0, 1, 1]]), pystac.TemporalExtent([[None, None]])), text, license=text, keywords=[text],
        providers=[pystac.Provider(text, text, [text], f"https://a/{text}", {text: text})], summaries=pystac.Summaries({text: [text]}), extra_fields={text: text},
    )  # fmt: skip
    made.add_asset(text, pystac.Asset(text))
    return made


def shows() -> list:
    one, several = hostile(MARKUP), hostile_collection(MARKUP)
    catalogue = pystac.Catalog(MARKUP, MARKUP, MARKUP, extra_fields={MARKUP: MARKUP})
    return [
        one,
        one.clone(),
        pystac.Item.from_dict(one.to_dict()),
        Items([one])[0],
        one.assets[MARKUP],
        one.links[0],
        several,
        several.providers[0],
        catalogue,
        pystac.ItemCollection([one]),
    ]


@pytest.mark.parametrize("number", range(10))
def test_what_pystac_shows_is_text(number):
    seen = harmless(shows()[number]._repr_html_())
    assert any("onerror=ran(1)" in t for t in seen.texts), "it is said, as text"
    assert not any("&lt;" in t for t in seen.texts), "it is escaped once"


def test_pystac_does_not_escape_by_itself_yet():
    """When it does, `geodes_lab.util.pystac_safe.display` can go: this test says so."""
    import subprocess

    code = "import pystac; print(pystac.Asset('<b>', title='<i>')._repr_html_())"
    plain = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "<i>" in plain
    pystac_html.guard()
    pystac_html.guard()
    assert "<i>" not in pystac.Asset("<b>", title="<i>")._repr_html_()


@pytest.mark.slow  # each source in a process of its own
def test_pystac_is_guarded_wherever_items_come_from():
    """In a fresh process: by a search, by a product that is opened."""
    import subprocess

    for module in ("catalog", "products", "publication", "explorer"):
        code = f"import pystac, geodes_lab.{module}; assert '<i>' not in pystac.Asset('<b>', title='<i>')._repr_html_()"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, module


def test_what_a_search_gives_is_text():
    seen = harmless(
        Items([hostile(MARKUP)] * 3)._repr_html_(), "svg", "title", "g", "path", "text", "figure", "figcaption", "img"
    )
    assert any("onerror=ran(1)" in t for t in seen.texts)


def test_a_report_is_text():
    table = pd.DataFrame.from_dict(
        {MARKUP: {"read": 1, "retried": 0, "filled": 1, "dropped": False, "why": MARKUP}}, orient="index"
    )
    harmless(report.Report(table)._repr_html_())
    table = pd.DataFrame.from_dict(
        {STEERS: {"read": 1, "retried": 0, "filled": 1, "dropped": False, "why": STEERS}}, orient="index"
    )
    assert not ODD.search(repr(report.Report(table)))


def test_tables_of_collections_are_text():
    with Witness() as server:
        server.answer = api(
            f"{server.url}/stac",
            **{"/stac/collections": {"collections": [collection(MARKUP.replace("/", "_"), title=MARKUP)], "links": []}},
        )
        table = gl.collections(url=f"{server.url}/stac")
    harmless(table._repr_html_())
    harmless(gl.availability([hostile(MARKUP)])._repr_html_())
    assert not ODD.search(gl.availability([hostile(STEERS)]).to_string())


def test_cubes_and_trees_are_text():
    """What a product calls its variables, groups and attributes, as xarray and Dask show it."""
    array = xr.DataArray(
        da.zeros((2, 2), name=MARKUP), dims=("y", "x"), attrs={MARKUP: MARKUP, "long_name": MARKUP}, name=MARKUP
    )
    data = xr.Dataset({MARKUP: array}, attrs={MARKUP: MARKUP})
    inside = MARKUP.replace("/", "_")
    tree = xr.DataTree.from_dict(
        {"/": data.rename({MARKUP: inside}), f"/group {inside}": data.rename({MARKUP: inside})}
    )
    icons = (
        "svg",
        "symbol",
        "path",
        "title",
        "label",
        "input",
        "dl",
        "dt",
        "dd",
        "pre",
        "defs",
        "h4",
        "line",
        "polygon",
        "text",
        "br",
        "strong",
        "section",
        "table",
        "circle",
        "use",
        "g",
    )
    for one in (array, data, tree):
        seen = Elements(one._repr_html_())
        assert "img" not in seen.names
        assert "a" not in seen.names
        assert not [a for a, _ in seen.attributes if a.startswith("on")]
        assert seen.names <= {
            *icons,
            "div",
            "span",
            "ul",
            "li",
            "style",
            "p",
            "b",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "details",
            "summary",
        }


def test_bars_are_text(monkeypatch):
    page = progress._InNotebook.__new__(progress._InNotebook)
    shown_pages = []
    import IPython.display

    monkeypatch.setattr(IPython.display, "display", lambda data, **_: shown_pages.append(data))
    page.__init__(shown(MARKUP), True)
    harmless(shown_pages[0]["text/html"], "label", "progress")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = progress.new("[red]x[/red][link=http://elsewhere.example]y[/link][/]", True)
    bar.update(5, 10)
    bar.end()
    assert "[red]x[/red][link=" in terminal.getvalue(), "it is no markup of rich"
    bar = progress.new(STEERS, True)
    bar.update(5, 10)
    bar.end()
    told = terminal.getvalue()
    assert "\x1b]0;owned" not in told
    assert "\x1b]52" not in told
    assert "\x1b]8" not in told, "a link"


# Terminals.


def test_text_steers_no_terminal():
    for steer in STEERS.split("|"):
        assert not ODD.search(shown(steer))
    assert shown("Été à Łódź, 東京 – 10 µm ✓") == "Été à Łódź, 東京 – 10 µm ✓"
    assert shown("a\x1b[31mb\r\nc") == "a\\u001b[31mb  c"
    shown("\ud800").encode()
    one = Items([hostile(STEERS)])
    assert not ODD.search(repr(one))
    assert all("\n" not in line for line in one.lines())
    error = GeodesError(f"{STEERS} is not there.")
    assert not ODD.search(str(error))
    assert "\n" not in str(error)
    assert str(GeodesError()) == ""


def test_commands_say_names_as_text(tmp_path):
    with Witness() as server:
        raw = item("good", properties={"datetime": "2021-06-05T00:00:00Z", "platform": STEERS, "grid:code": STEERS})
        server.answer = api(
            f"{server.url}/stac", **{"/stac/search": {"type": "FeatureCollection", "features": [raw], "links": []}}
        )
        done = CliRunner().invoke(main, ["search", "c", "--url", f"{server.url}/stac"])
        assert done.exit_code == 0, done.output
        assert "good" in done.output
        assert not ODD.search(done.output)
        done = CliRunner().invoke(main, ["search", "c", "--url", f"{server.url}/stac", "--json"])
        assert not ODD.search(done.stdout)
        assert json.loads(done.stdout)["features"][0]["properties"]["platform"] == STEERS
        server.answer = lambda told: (400, {}, json.dumps({"detail": STEERS}).encode())
        done = CliRunner().invoke(main, ["search", "c", "--url", f"{server.url}/stac"])
        assert done.exit_code == 1
        assert not ODD.search(done.output)
    path = tmp_path / "a.zarr"
    steers = STEERS.replace("/", "_")
    xr.Dataset(
        {"v": (("y", "x"), np.zeros((2, 2)), {"long_name": steers, "units": steers})},
        {"y": [0.0, 1.0], "x": [0.0, 1.0]},
        {"title": steers},
    ).to_zarr(path, consolidated=False)
    for more in ([], ["--json"]):
        done = CliRunner().invoke(main, ["open", str(path), *more])
        assert done.exit_code == 0, done.output
        assert not ODD.search(done.output)
    json.loads(done.stdout)


def test_warnings_of_commands_steer_no_terminal():
    import click

    from geodes_lab.cli.arguments import failing

    @click.command()
    def warn() -> None:
        with failing():
            warnings.warn(STEERS, UserWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        done = CliRunner().invoke(warn)
    assert "UserWarning: " in done.output
    assert not ODD.search(done.output)


# Plots.

NAMES = [
    MARKUP,
    STEERS,
    "{0.__class__}",
    "{unknown}",
    "{",
    "}",
    "$$x$$",
    r"\(x\)",
    r"\[x\]",
    "$x_{$",
    "@{x}{safe}",
    "a" * 5000,
]


def rendered(plot) -> str:
    """The document of a plot, as JSON: what the browser is given."""
    import holoviews as hv
    from bokeh.embed import json_item

    return json.dumps(json_item(hv.render(plot, backend="bokeh")))


# Each draws six plots: three names, of markup and of mathematics, and all of them among the long ones.
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, id=str(i), marks=[] if i in (0, 6, 10) else [pytest.mark.slow]) for i, n in enumerate(NAMES)],
)
def test_plots_of_what_is_called_anything(name):
    y, x, time = np.arange(4.0), np.arange(5.0), pd.date_range("2021-01-01", periods=3)
    attrs = {"long_name": name, "units": name}
    cube = xr.DataArray(
        np.random.default_rng(0).random((3, 4, 5)), {"time": time, "y": y, "x": x}, ("time", "y", "x"), name, attrs
    )
    rows = xr.DataArray(
        np.arange(3.0),
        {"time": time, "longitude": ("time", x[:3]), "latitude": ("time", y[:3])},
        ("time",),
        name,
        attrs,
    )
    one = hostile(name.replace("/", "_"))
    plots = [
        gl.plot.image(cube[0]), gl.plot.series(rows), gl.plot.series(xr.Dataset({name: rows, "b": rows})), gl.plot.tracks(rows), gl.plot.footprints([one]),
        gl.plot.compare(cube[0], cube[1]),
    ]  # fmt: skip
    for plot in plots:
        document = rendered(plot)
        texts = re.findall(r'"text": "((?:[^"\\]|\\.)*)"', document) + re.findall(
            r'"(?:axis_label|title)": "((?:[^"\\]|\\.)*)"', document
        )
        assert not [t for t in texts if "$$" in t or r"\\(" in t or r"\\[" in t], (
            "mathematics makes the page ask the internet"
        )
        assert "MathML" not in document
        assert '"TeX"' not in document
    gl.plot.animate(cube)._repr_mimebundle_()


@pytest.mark.browser
@needs_chromium
def test_no_page_runs_what_a_catalogue_says(tmp_path):
    """All that shows itself as a page, in one page of a browser: opened, hovered, and nothing of the payload runs."""
    import holoviews as hv
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    y, x, time = np.arange(4.0), np.arange(5.0), pd.date_range("2021-01-01", periods=3)
    array = xr.DataArray(
        da.zeros((4, 5), name=MARKUP), {"y": y, "x": x}, ("y", "x"), MARKUP, {MARKUP: MARKUP, "long_name": MARKUP}
    )
    parts = [one._repr_html_() for one in shows()] + [Items([hostile(MARKUP)] * 2)._repr_html_(), array._repr_html_()]
    parts.append(gl.availability([hostile(MARKUP)])._repr_html_())
    marks = {"long_name": MARKUP, "units": MARKUP}
    rows = xr.DataArray(
        np.arange(3.0),
        {"time": time, "longitude": ("time", x[:3]), "latitude": ("time", y[:3])},
        ("time",),
        MARKUP,
        marks,
    )
    plots = [
        gl.plot.footprints([hostile(MARKUP)], width=300),
        gl.plot.tracks(rows, width=300),
        gl.plot.series(rows, width=300),
    ]
    asked, faults = [], []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 900, "height": 1200})
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.expose_function("ran", lambda *_: faults.append("the payload ran"))
        (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{''.join(parts)}<p id=end>end</p>")
        page.goto((tmp_path / "page.html").as_uri())
        for summary in page.locator("summary").all()[:200]:
            summary.evaluate("e => e.parentElement.open = true")
        assert page.locator("#end").count() == 1
        assert page.locator("img[src=x], svg[onload], a[href^=javascript]").count() == 0
        for number, plot in enumerate(plots):
            path = tmp_path / f"plot{number}.html"
            path.write_text(file_html(hv.render(plot, backend="bokeh"), INLINE))
            page.goto(path.as_uri())
            canvas = page.locator(".bk-Canvas, .bk-Figure").first
            canvas.wait_for(state="visible")
            box = canvas.bounding_box()
            told = page.locator(".bk-tooltip-row-value")
            for part in range(1, 40):  # until the pointer is on something
                across, down = part / 40, 0.5 if number == 0 else part / 40
                page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
                page.wait_for_timeout(20)
                if told.count():
                    break
            if number == 0:
                assert "onerror=ran(1)" in " ".join(told.all_inner_texts())
            assert page.locator("img[src=x], svg[onload], a[href^=javascript]").count() == 0
    assert faults == []
    assert [u for u in asked if not u.startswith(("file:", "data:", "blob:"))] == []
