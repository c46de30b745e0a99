"""Searches of GEODES through its dialect: each trap of the service, met by a server that has it."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator

import dask
import pytest
import shapely
from pystac.utils import str_to_datetime
from shapely.geometry import shape

import geodes_lab as gl
from geodes_lab.catalog.remote.normalize import normalize_item
from geodes_lab.errors import GeodesError
from tests.support.servers.standin import StandIn, products

ITEMS = products(1000)
TRUE = [normalize_item(i) for i in ITEMS]
LATEST = [t for t in TRUE if t["properties"]["latest"]]


@pytest.fixture
def geodes() -> Iterator[Callable[..., StandIn]]:
    """Start a stand-in that has faults of its own: ``geodes(faults=…)``; searches go to it."""
    with contextlib.ExitStack() as stack:

        def start(items=ITEMS, **options) -> StandIn:
            service = stack.enter_context(StandIn(items, **options))
            stack.enter_context(dask.config.set(service.settings | {"geodes_lab.catalog.profile": "geodes"}))
            return service

        yield start


def names(items) -> set[str]:
    return {i["id"] if isinstance(i, dict) else i.id for i in items}


def test_pages_are_complete_and_in_order(geodes):
    service = geodes()
    found = gl.search("PEPS_S2_L1C", latest=False)
    assert len(found) == len(ITEMS)
    assert names(found) == names(TRUE)
    times = [i.datetime for i in found]
    assert times == sorted(times)
    assert sorted(body["page"] for _, path, body in service.requests if path.endswith("search")) == list(range(1, 14))


def test_time_is_that_of_the_acquisition_not_of_the_publication(geodes):
    geodes()
    found = gl.search("PEPS_S2_L1C", datetime="2019-03/2019-08")
    inside = [t for t in LATEST if "2019-03" <= t["properties"]["start_datetime"][:7] <= "2019-08"]
    assert names(found) == names(inside)
    late = [i for i in found if i.properties["published"][:4] != "2019"]
    assert late  # those that another client would not find
    assert all(i.datetime == str_to_datetime(i.properties["start_datetime"]) for i in found)


def test_times_with_any_number_of_decimals_are_one_instant(geodes):
    geodes()
    item = next(t for t in LATEST if t["properties"]["datetime"].endswith(".024000Z"))
    found = gl.search("PEPS_S2_L1C", datetime=item["properties"]["datetime"])
    assert item["id"] in names(found)


def test_two_collections_give_both(geodes):
    other = products(50, seed=1, collection="THEIA_REFLECTANCE_SENTINEL2_L2A")
    geodes([*ITEMS[:50], *other])
    found = gl.search(["PEPS_S2_L1C", "THEIA_REFLECTANCE_SENTINEL2_L2A"], latest=False)
    assert len(found) == 100
    assert {i.collection_id for i in found} == {"PEPS_S2_L1C", "THEIA_REFLECTANCE_SENTINEL2_L2A"}


@pytest.mark.parametrize(
    "area",
    [
        {"type": "Polygon", "coordinates": [[[-100, -40], [100, 0], [100, 50], [-100, -40]]]},
        {
            "type": "MultiPolygon",
            "coordinates": [
                [[[0, 0], [40, 0], [40, 40], [0, 40], [0, 0]]],
                [[[-80, -20], [-40, -20], [-40, 20], [-80, -20]]],
            ],
        },
        {"type": "Point", "coordinates": [*shape(TRUE[3]["geometry"]).centroid.coords[0]]},
        {"type": "LineString", "coordinates": [[-60, -50], [10, 45], [100, 60]]},
    ],
    ids=lambda a: a["type"],
)
def test_any_geometry_finds_what_it_touches_and_nothing_else(geodes, area):
    geodes()
    found = gl.search("PEPS_S2_L1C", intersects=area, latest=False)
    assert names(found) == names(t for t in TRUE if shape(area).intersects(shape(t["geometry"])))
    assert len(found) > 0


def test_box_across_the_date_line(geodes):
    geodes()
    found = gl.search("PEPS_S2_L1C", bbox=(170, -80, -170, 80), latest=False)
    both = shapely.union(shapely.box(170, -80, 180, 80), shapely.box(-180, -80, -170, 80))
    assert names(found) == names(t for t in TRUE if both.intersects(shape(t["geometry"])))
    assert len(found) > 0


def test_numbers_tiles_states_and_polarisations_are_asked_for_in_the_service_s_words(geodes):
    geodes()
    one = LATEST[10]["properties"]
    found = gl.search("PEPS_S2_L1C", orbit=one["sat:relative_orbit"], tile=one["grid:code"][5:])
    assert one["identifier"] in names(found)
    assert {i.properties["grid:code"] for i in found} == {one["grid:code"]}
    # In quotes, in small letters: no reason to find nothing.
    quoted = gl.search("PEPS_S2_L1C", sat_relative_orbit=str(one["sat:relative_orbit"]), sat_orbit_state="descending")
    assert names(quoted) == names(
        t for t in LATEST if t["properties"]["sat:relative_orbit"] == one["sat:relative_orbit"]
    )
    assert not gl.search("PEPS_S2_L1C", sat_orbit_state="ascending").items


def test_superseded_versions_are_left_out_unless_asked_for(geodes):
    geodes()
    assert names(gl.search("PEPS_S2_L1C")) == names(LATEST)
    assert len(LATEST) < len(TRUE)


def test_limit_counts_what_is_given_not_what_the_service_sent(geodes):
    service = geodes()
    found = gl.search("PEPS_S2_L1C", limit=100, datetime="2016/..")
    wanted = sorted(LATEST, key=lambda t: (t["properties"]["datetime"], t["id"]))
    wanted = [t["id"] for t in wanted if t["properties"]["start_datetime"] >= "2016"][:100]
    assert [i.id for i in found] == wanted
    assert len(service.requests) < 13  # not all pages


def test_sorted_by_clouds_and_filtered_by_them(geodes):
    geodes()
    found = gl.search("PEPS_S2_L1C", cloud_cover=20, sortby="-eo:cloud_cover")
    clouds = [i.properties["eo:cloud_cover"] for i in found]
    assert clouds == sorted(clouds, reverse=True)
    assert names(found) == names(t for t in LATEST if t["properties"]["eo:cloud_cover"] <= 20)


def test_products_by_name_even_very_many(geodes):
    geodes()
    wanted = [t["id"] for t in TRUE[:130]]
    assert names(gl.search("PEPS_S2_L1C", ids=wanted, latest=False)) == set(wanted)
    assert [i.id for i in gl.search("PEPS_S2_L1C", ids=wanted[0], latest=False)] == wanted[:1]


def test_misspelt_collection_and_queryable_are_refused_before_any_request(geodes):
    service = geodes()
    with pytest.raises(GeodesError, match=r"no collection 'PEPS_S2_L1D'.*PEPS_S2_L1C"):
        gl.search("PEPS_S2_L1D")
    with pytest.raises(GeodesError, match=r"has no queryable 'platfrom'.*platform"):
        gl.search("PEPS_S2_L1C", platfrom="S2A")
    with pytest.raises(GeodesError, match="cloud_cover is the highest percentage"):
        gl.search("PEPS_S2_L1C", cloud_cover=120)
    with pytest.raises(GeodesError, match="is a number, not 'fifty'"):
        gl.search("PEPS_S2_L1C", sat_relative_orbit="fifty")
    assert service.requests == []


def test_old_name_of_a_collection_is_understood_and_said(geodes):
    geodes(products(20, collection="THEIA_REFLECTANCE_SENTINEL2_L2A"))
    with pytest.warns(UserWarning, match="has a new name, THEIA_REFLECTANCE_SENTINEL2_L2A"):
        assert len(gl.search("MUSCATE_SENTINEL2_SENTINEL2_L2A", latest=False)) == 20


def test_service_that_fails_now_and_then_is_asked_again(geodes):
    service = geodes(faults=iter([502, 503, 0, 500, 0, 504]))
    assert len(gl.search("PEPS_S2_L1C")) == len(LATEST)
    assert len(service.requests) == 13 + 4


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (itertools.repeat(503), "failed at each of 6 attempts .HTTP 503"),
        (itertools.repeat(429), "refuses more requests for now"),
        (itertools.repeat(403), "refuses the request .HTTP 403"),
        (itertools.repeat(400), "does not understand the request .HTTP 400"),
    ],
)
def test_refusal_is_one_clear_sentence(geodes, faults, said, monkeypatch):
    monkeypatch.setattr("urllib3.util.retry.Retry.get_backoff_time", lambda _: 0)
    geodes(faults=faults)
    with pytest.raises(GeodesError, match=said) as error:
        gl.search("PEPS_S2_L1C")
    assert "\n" not in str(error.value)


def test_closed_port_is_named():
    with (
        dask.config.set({"geodes_lab.catalog.profiles.geodes.url": "http://127.0.0.1:9/stac"}),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("urllib3.util.retry.Retry.get_backoff_time", lambda _: 0)
        with pytest.raises(GeodesError, match=r"geodes at http://127.0.0.1:9/stac does not answer"):
            gl.search("PEPS_S2_L1C", profile="geodes")


def test_catalogue_that_grows_while_it_is_read_is_read_again(geodes):
    service = geodes(ITEMS[:900])
    page, grown = service.search, []

    def growing(body):
        if body["page"] == 3 and not grown:
            grown.append(True)
            service.put(ITEMS)
        return page(body)

    service.search = growing
    assert len(gl.search("PEPS_S2_L1C", latest=False)) == len(ITEMS)


def test_service_that_doubles_items_for_good_is_refused(geodes):
    service = geodes()
    page = service.search
    service.search = lambda body: page({**body, "sortBy": []})  # without an order each page is drawn anew
    with pytest.raises(GeodesError, match="changed during the search, 3 times: search for less"):
        gl.search("PEPS_S2_L1C", latest=False)


def test_collections_table_says_what_each_holds_and_takes(geodes):
    geodes([*ITEMS[:90], *products(5, seed=2, collection="PEPS_S1_L1")])
    table = gl.collections()
    assert table.loc["PEPS_S2_L1C", "count"] == 90
    assert table.loc["PEPS_S1_L1", ["count", "format", "open_cube"]].tolist() == [5, "zip of SAFE", "GRD alone"]
    assert table.loc["PEPS_S2_L1C", "start"].year == 2014
    assert "eo:cloud_cover" in table.loc["PEPS_S2_L1C", "queryables"]


def test_a_profile_of_one_s_own_replaces_any_line(geodes):
    service = geodes()
    own = {"kind": "geodes", "url": service.url, "page": 50, "search": "items"}
    with dask.config.set({"geodes_lab.catalog.profiles.mine": own}):
        assert len(gl.search("PEPS_S2_L1C", profile="mine", latest=False)) == len(ITEMS)
    assert {path for _, path, _ in service.requests} == {"/api/stac/items"}
    assert {body["limit"] for _, _, body in service.requests} == {50}
    own["pages"] = 3
    with (
        dask.config.set({"geodes_lab.catalog.profiles.mine": own}),
        pytest.raises(GeodesError, match="did you mean 'page'"),
    ):
        gl.search("PEPS_S2_L1C", profile="mine")


def test_items_are_valid_stac_1_1(geodes):
    geodes()
    for item in gl.search("PEPS_S2_L1C", limit=5):
        told = item.to_dict()
        assert told["stac_version"] == "1.1.0"
        # The core schema alone: those of the extensions lie on the internet.
        item.stac_extensions = []
        item.validate()
        product = told["assets"]["product"]
        assert product["href"].startswith("https://s3.datalake.cnes.fr/sentinel2-l1c/")
        assert product["alternate"]["https"]["href"].split("/")[-1] == product["file:checksum"][6:]
        assert product["file:size"] > 4e8
        assert told["properties"]["storage:schemes"]["datalake"]["bucket"] == "sentinel2-l1c"
        json.dumps(told)
