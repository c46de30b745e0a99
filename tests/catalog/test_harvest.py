"""The whole catalogue in files: what a search of them gives is what the service gives, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import dask
import pytest
import rustac
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import shape

import geodes_lab as gl
from geodes_lab.catalog.harvested import harvest as harvest_module
from geodes_lab.catalog.harvested.snapshot import alone
from geodes_lab.catalog.harvesting import harvested
from geodes_lab.cli import main
from geodes_lab.errors import GeodesError
from tests.support.examples import examples
from tests.support.servers.standin import StandIn, products

# Of three months of each year: a file for each month is what a harvest costs.
ITEMS = [i for i in products(1500) if i["properties"]["start_datetime"][5:7] in ("03", "06", "09")]
MANY = len(ITEMS)


@pytest.fixture(scope="module")
def service():
    with StandIn(ITEMS) as found:
        yield found


@pytest.fixture
def geodes(service):
    with dask.config.set(service.settings | {"geodes_lab.catalog.profile": "geodes"}):
        yield service
    service.put(ITEMS)


@pytest.fixture(scope="module")
def folder(service, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("catalogue")
    with dask.config.set(service.settings):
        harvested("geodes", path)
    return path


def same(one, other) -> bool:
    a, b = ([{**i.to_dict(transform_hrefs=False), "links": None} for i in items] for items in (one, other))
    return a == b


@pytest.mark.parametrize(
    "asked",
    [
        {"bbox": (-20, 30, 60, 60), "datetime": "2020"},
        {"bbox": (170, -80, -170, 80), "latest": False},
        {"cloud_cover": 20, "datetime": "2019-01/2019-06"},
        {"intersects": {"type": "Polygon", "coordinates": [[[-100, -40], [100, 0], [100, 50], [-100, -40]]]}},
        {"intersects": shape(ITEMS[5]["geometry"]).centroid.__geo_interface__, "latest": False},
        {"ids": [i["properties"]["identifier"] for i in ITEMS[3:9]], "latest": False},
        {"tile": ITEMS[0]["properties"]["grid:code"], "latest": False},
        {"orbit": [51, 94], "product_type": "S2MSI1C"},
        {"sat_orbit_state": "descending", "platform": ["S2A", "S2B"], "sortby": "-eo:cloud_cover", "limit": 90},
        {"eo_cloud_cover": (30, 31), "sortby": ["platform", "-datetime"]},
        {"latest": False, "limit": 100, "datetime": "2021-03/.."},
        {"sat_orbit_state": "ascending"},
        {"continent_code": "EU", "keywords": ["season:summer"], "limit": 7},
    ],
    ids=lambda a: ",".join(a),
)
def test_search_of_the_files_gives_what_the_service_gives(geodes, folder, asked):
    far, near = gl.search("PEPS_S2_L1C", **asked), gl.search("PEPS_S2_L1C", url=str(folder), **asked)
    assert [i.id for i in near] == [i.id for i in far]
    assert same(near, far)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    west=st.floats(-179, 170), south=st.floats(-85, 75), width=st.floats(0.1, 90), height=st.floats(0.1, 60),
    years=st.integers(2015, 2023), clouds=st.none() | st.integers(0, 100), latest=st.booleans(), limit=st.none() | st.integers(1, 200),
)  # fmt: skip
def test_any_box_and_year_gives_what_plain_python_gives(
    geodes, folder, west, south, width, height, years, clouds, latest, limit
):
    bbox = (west, south, min(west + width, 180), min(south + height, 90))
    found = gl.search(
        "PEPS_S2_L1C", url=str(folder), bbox=bbox, datetime=str(years), cloud_cover=clouds, latest=latest, limit=limit
    )
    area = shape(
        {
            "type": "Polygon",
            "coordinates": [[(bbox[0], bbox[1]), (bbox[2], bbox[1]), (bbox[2], bbox[3]), (bbox[0], bbox[3])]],
        }
    )
    wanted = [
        (datetime.fromisoformat(p["start_datetime"]), p["identifier"])
        for i in ITEMS
        for p in [i["properties"]]
        if p["start_datetime"].startswith(str(years))
        and (clouds is None or p["eo:cloud_cover"] <= clouds)
        and (p["latest"] or not latest)
        and area.intersects(shape(i["geometry"]))
    ]
    assert [i.id for i in found] == [name for _, name in sorted(wanted)][:limit]


def test_files_are_stac_geoparquet_that_others_read(folder):
    names, first = set(), None

    async def read(path: Path) -> list[dict]:
        return (await rustac.read(str(path)))["features"]

    for path in sorted((folder / "items").rglob("*.parquet")):
        features = asyncio.run(read(path))
        names |= {f["id"] for f in features}
        first = first or features[0]
    assert names == {i["properties"]["identifier"] for i in ITEMS}
    raw = next(i for i in ITEMS if i["properties"]["identifier"] == first["id"])
    assert shape(first["geometry"]).equals(shape(raw["geometry"]))
    assert datetime.fromisoformat(first["properties"]["datetime"]) == datetime.fromisoformat(
        raw["properties"]["start_datetime"]
    )
    assert first["assets"]["product"]["href"] == raw["properties"]["endpoint_url"]


def test_files_that_a_search_does_not_need_are_not_read(folder):
    from geodes_lab.catalog.harvested.snapshot import Snapshot
    from geodes_lab.catalog.query import parse

    snapshot = Snapshot.load(folder)
    month = parse(["PEPS_S2_L1C"], datetime="2019-06", queryables={})
    assert {f.month for f in snapshot.needed(month)} == {"2019-06"}
    assert not list(snapshot.needed(parse(["PEPS_S1_L1"], queryables={})))
    assert len(list(snapshot.needed(parse(["PEPS_S2_L1C"], queryables={})))) == len(snapshot.files)


def test_second_harvest_fetches_what_is_new_alone(geodes, tmp_path):
    later = products(40, seed=7)
    for number, item in enumerate(later):
        item["properties"]["datetime"] = f"2026-01-01T00:00:{number:02d}.5Z"
    harvested("geodes", tmp_path, ["PEPS_S2_L1C"])
    # One of the old products is published anew, no longer the latest.
    changed = json.loads(json.dumps(ITEMS[2]))
    changed["properties"] |= {"datetime": "2026-01-02T00:00:00Z", "latest": False}
    geodes.put([*ITEMS[:2], changed, *ITEMS[3:], *later])
    geodes.requests.clear()
    (outcome,) = harvested("geodes", tmp_path, ["PEPS_S2_L1C"])
    assert (outcome.total, outcome.counted) == (MANY + 40, MANY + 40)
    assert outcome.found <= 42  # and the last one of the time before
    assert len(geodes.requests) < 10
    found = gl.search("PEPS_S2_L1C", url=str(tmp_path), latest=False)
    assert same(found, gl.search("PEPS_S2_L1C", latest=False))
    assert len(found) == MANY + 40


def test_what_the_service_removed_is_seen_and_anew_mends_it(geodes, tmp_path):
    harvested("geodes", tmp_path, ["PEPS_S2_L1C"])
    geodes.put(ITEMS[: MANY - 100])
    (outcome,) = harvested("geodes", tmp_path, ["PEPS_S2_L1C"])
    assert (outcome.total, outcome.counted) == (MANY, MANY - 100)
    (outcome,) = harvested("geodes", tmp_path, ["PEPS_S2_L1C"], anew=True)
    assert (outcome.total, outcome.counted) == (MANY - 100, MANY - 100)
    assert len(gl.search("PEPS_S2_L1C", url=str(tmp_path), latest=False)) == MANY - 100


def test_harvest_that_failed_goes_on_where_it_was(geodes, tmp_path, monkeypatch):
    monkeypatch.setattr(harvest_module, "_WINDOW", 30)
    monkeypatch.setattr("geodes_lab.catalog.harvested.staging._FLUSH", 60)
    page, asked = geodes.search, []

    def failing(body):
        asked.append(body)
        return (500, b"broken") if len(asked) >= 30 else page(body)

    monkeypatch.setattr("urllib3.util.retry.Retry.get_backoff_time", lambda _: 0)
    monkeypatch.setattr(geodes, "search", failing)
    with pytest.raises(GeodesError, match="failed at each of 6 attempts"):
        harvested("geodes", tmp_path, ["PEPS_S2_L1C"])
    monkeypatch.setattr(geodes, "search", page)
    (outcome,) = harvested("geodes", tmp_path, ["PEPS_S2_L1C"])
    assert outcome.total == outcome.counted == MANY
    assert outcome.found < MANY  # some were there
    assert not list((tmp_path / "parts").rglob("*.parquet"))


def _harvest_until_killed(settings: dict, folder: Path) -> None:
    """In a process of its own: ended without a word in the middle of the writing of months."""
    from geodes_lab.catalog.harvested import partitions

    written = []
    write = partitions.written

    def dying(*arguments):
        written.append(arguments)
        if len(written) == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(*arguments)

    partitions.written = dying
    with dask.config.set(settings):
        harvested("geodes", folder, ["PEPS_S2_L1C"], anew=True)


def test_crash_leaves_the_catalogue_as_it_was(geodes, tmp_path):
    harvested("geodes", tmp_path, ["PEPS_S2_L1C"])
    before = [i.id for i in gl.search("PEPS_S2_L1C", url=str(tmp_path), latest=False)]
    geodes.put([*ITEMS, *products(100, seed=9)])
    process = multiprocessing.get_context("spawn").Process(
        target=_harvest_until_killed, args=(geodes.settings, tmp_path)
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert [i.id for i in gl.search("PEPS_S2_L1C", url=str(tmp_path), latest=False)] == before
    (outcome,) = harvested("geodes", tmp_path, ["PEPS_S2_L1C"], anew=True)
    assert outcome.total == len(gl.search("PEPS_S2_L1C", url=str(tmp_path), latest=False)) == MANY + 100


def test_two_harvests_at_once_and_another_catalogue_are_refused(geodes, folder, tmp_path):
    with alone(folder, "Another harvest is running"), pytest.raises(GeodesError, match="Another harvest is running"):
        harvested("geodes", folder, ["PEPS_S2_L1C"])
    with (
        StandIn(ITEMS[:10]) as other,
        dask.config.set(other.settings),
        pytest.raises(GeodesError, match=r"was harvested from .* give another folder"),
    ):
        harvested("geodes", folder, ["PEPS_S2_L1C"])
    with (
        pytest.raises(GeodesError, match="only GEODES and static catalogues can be harvested"),
        dask.config.set({"geodes_lab.catalog.profiles.local.url": str(folder)}),
    ):
        harvested("local", tmp_path)


def test_damaged_files_are_named(geodes, tmp_path):
    harvested("geodes", tmp_path, ["PEPS_S2_L1C"])
    path = next((tmp_path / "items").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(GeodesError, match=r"cannot be read.*harvest it again"):
        gl.search("PEPS_S2_L1C", url=str(tmp_path), latest=False)
    (tmp_path / "snapshot.json").write_text("{")
    with pytest.raises(GeodesError, match=r"snapshot.json is damaged"):
        gl.search("PEPS_S2_L1C", url=str(tmp_path))


def test_collections_and_queryables_of_the_files(geodes, folder):
    table = gl.collections(url=str(folder))
    assert table.loc["PEPS_S2_L1C", ["title", "count"]].tolist() == ["Title of PEPS_S2_L1C", MANY]
    assert table.loc["PEPS_S2_L1C", "start"] == min(
        datetime.fromisoformat(i["properties"]["start_datetime"]) for i in ITEMS
    ).astimezone(UTC).replace(microsecond=0)
    with pytest.raises(GeodesError, match=r"has no queryable 'eo_cloud_cove'.*eo_cloud_cover"):
        gl.search("PEPS_S2_L1C", url=str(folder), eo_cloud_cove=3)


def test_command_harvests_and_says_what_it_did(geodes, tmp_path):
    told = CliRunner().invoke(main, ["harvest", "geodes", str(tmp_path), "--collection", "PEPS_S2_L1C"])
    assert (told.exit_code, told.stdout) == (0, f"PEPS_S2_L1C: {MANY} new, {MANY} in all.\n")
    told = CliRunner().invoke(main, ["harvest", "geodes", str(tmp_path), "--json"])
    assert json.loads(told.stdout)[0]["total"] == MANY
    told = CliRunner().invoke(main, ["harvest", "geodes", str(tmp_path), "--collection", "PEPS_S2_L1D"])
    assert told.exit_code == 1
    assert "There is no collection 'PEPS_S2_L1D'" in told.stderr


def test_doctor_says_which_facts_hold(geodes, monkeypatch):
    told = CliRunner().invoke(main, ["doctor", "--json"])
    found = {f["fact"]: f["state"] for f in json.loads(told.stdout)}
    assert [fact for fact, state in found.items() if state == "failed"] == ["datalake"]  # a closed port
    assert [fact for fact, state in found.items() if state == "changed"] == ["collections"]  # the stand-in has one
    assert [fact for fact, state in found.items() if state == "not tried"] == ["key and quota", "byte ranges"]
    assert told.exit_code == 1
    monkeypatch.setenv("GEODES_API_KEY", "secret")
    told = CliRunner().invoke(main, ["doctor"])
    assert "100 of 100 downloads of this hour are left" in told.stdout
    assert "a request for a part of a product returns HTTP 500" in told.stdout
    assert "secret" not in told.output
    monkeypatch.setenv("GEODES_API_KEY", "wrong")
    assert "the key is refused" in CliRunner().invoke(main, ["doctor"]).stdout


def test_doctor_sees_a_service_that_has_changed(geodes, monkeypatch):
    page = geodes.search

    def changed(body):
        status, said = page({**body, "collections": body.get("collections", [])[:1]})
        return status, said.replace(b'"matched"', b'"numberMatched"')

    monkeypatch.setattr(geodes, "search", changed)
    found = {f["fact"]: f for f in json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)}
    assert found["count"]["state"] == "changed"
    assert "another form (KeyError: 'matched')" in found["count"]["text"]
    with dask.config.set({"geodes_lab.catalog.profiles.geodes.url": "http://127.0.0.1:9"}):
        found = {f["fact"]: f for f in json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)}
    assert found["endpoint"]["state"] == "failed"
    assert "does not answer from here" in found["endpoint"]["text"]
    assert CliRunner().invoke(main, ["doctor", "local"]).exit_code == 1
