"""Places by name: cities and countries in both languages, and tiles of the MGRS beside GEOTRANS."""

from __future__ import annotations

import contextlib

import httpx
import mgrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from shapely import Point
from shapely.affinity import translate
from shapely.geometry import shape

from hub.services.catalogue.app import made
from hub.services.maps import gazetteer
from hub.services.maps.gazetteer import NoTile, found, tile
from tests.hub.services.catalogue.test_catalogue_service import KnownTokens
from tests.support.examples import examples
from tests.support.servers.served import served

GEOTRANS = mgrs.MGRS()
# Longitude and latitude of Wikipedia's articles.
CITIES = {
    "Londres": (-0.12, 51.51), "LONDON": (-0.12, 51.51), "pekin": (116.39, 39.9), "Kyiv": (30.52, 50.45),
    "la haye": (4.31, 52.08), "Saint-Étienne": (4.39, 45.43), "saint etienne": (4.39, 45.43), "São Paulo": (-46.63, -23.55),
    "sao pau": (-46.63, -23.55), "cayenne": (-52.33, 4.92), "Suva": (178.44, -18.14), "Côte d'Ivoire": (-5.5, 7.5),
    "etats-unis": (-100, 40), "Germany": (10, 51), "allemagne": (10, 51),
}  # fmt: skip


@pytest.mark.parametrize("name", CITIES)
def test_name_leads_to_its_place(name):
    west, south, east, north = found(name, "fr")[0]["bbox"]
    longitude, latitude = CITIES[name]
    assert south < latitude < north
    assert west < longitude < east or (west > east and (longitude > west or longitude < east))


def test_names_are_those_of_the_reader():
    told = {language: found("Londres", language)[0] for language in ("en", "fr")}
    assert {k: (v["name"], v["country"]) for k, v in told.items()} == {
        "en": ("Londres (London)", "United Kingdom"),
        "fr": ("Londres (London)", "Royaume-Uni"),
    }
    assert [found("allem", language)[0]["name"] for language in ("en", "fr")] == ["Germany", "Allemagne"]
    assert found("vienne", "fr")[0]["country"] == "Autriche"  # the larger one first
    assert (found("x"), found("' OR 1=1 --"), found("<script>")) == ([], [], [])
    fiji = found("Fiji")[0]["bbox"]
    assert fiji[0] > 170 > -170 > fiji[2]  # on both sides of 180°
    metropolitan = found("France")[0]["bbox"]
    assert metropolitan[0] > -6  # not to Guiana


@settings(max_examples=examples(300), deadline=None)
@given(st.floats(-79.9, 83.9), st.floats(-180, 179.999))
def test_tile_of_a_place_has_it_inside(latitude, longitude):
    name = GEOTRANS.toMGRS(latitude, longitude, MGRSPrecision=0)
    area = shape(tile(name)["geometry"]).buffer(1e-3)
    assert any(area.covers(translate(Point(longitude, latitude), turn)) for turn in (0, 360, -360))
    assert found(f" t{name.lower()} ")[0]["tile"] == name


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of GEOTRANS, for squares at the edge of a band
@settings(max_examples=examples(300), deadline=None)
@given(st.from_regex(r"\A(0[1-9]|[1-5][0-9]|60)[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]\Z"))
def test_tile_is_there_where_geotrans_finds_it_again(name):
    try:
        square = tile(name)["geometry"]
    except NoTile:
        try:
            centre = GEOTRANS.toLatLon(f"{name}5000050000")
        except Exception:
            return  # it knows none either
        assert GEOTRANS.toMGRS(*centre, MGRSPrecision=0) != name
        return
    # The tile begins at the square's corner and is wider: its middle lies 5 km from that of the square.
    centre = GEOTRANS.toLatLon(f"{name}5000050000")
    assert abs(shape(square).centroid.y - centre[0]) < 0.1


# From the metadata of ESA's products: CRS, and the upper left corner in metres. Ours is at most a pixel of 60 m aside.
OF_ESA = {
    "01CCV": (32701, 300000, 2000020), "01KAB": (32701, 99960, 8200000), "01WCP": (32601, 300000, 7400040),
    "07HFE": (32707, 600000, 6500020), "10SDG": (32610, 399960, 4200000), "22HBD": (32722, 199980, 5900020),
    "32TQR": (32632, 699960, 5100060), "32TRQ": (32632, 800000, 5000060), "33XWJ": (32633, 499980, 8900040),
    "34UCF": (32634, 300000, 6100020),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_ESA)
def test_tile_is_that_of_sentinel_2(name):
    epsg, *corner = OF_ESA[name]
    to_utm = Transformer.from_crs(4326, epsg, always_xy=True)
    places = [to_utm.transform(*place) for place in tile(name)["geometry"]["coordinates"][0]]
    left, top = min(x for x, _ in places), max(y for _, y in places)
    assert (left, top) == pytest.approx(corner, abs=62)
    assert max(x for x, _ in places) - left == pytest.approx(109_800, abs=4)


@pytest.mark.parametrize("name", ["99ZZZ", "00NAA", "31TZZ", "31", "31T", "T31TC", "31ICJ"])
def test_no_tile_is_a_sentence(name):
    with pytest.raises(NoTile, match="is no tile") as refused:
        found(name)
    assert "n'est pas une tuile" in refused.value.sentences["fr"]


@pytest.mark.attack
@settings(max_examples=examples(300), deadline=None)
@given(st.text(max_size=120))
def test_any_text_is_answered(text):
    with contextlib.suppress(NoTile):
        assert len(found(text)) <= 8


def test_service_tells_places(tmp_path):
    with served(made(tmp_path / "harvested", tmp_path / "results", hub=KnownTokens())) as url:
        answer = httpx.get(f"{url}/places", params={"named": "toulouse", "lang": "fr"})
        assert (answer.status_code, answer.json()["places"][0]["country"]) == (200, "France")
        refused = httpx.get(f"{url}/places", params={"named": "31TZZ", "lang": "fr"})
        assert (refused.status_code, refused.json()["detail"][:28]) == (400, "31TZZ n'est pas une tuile : ")
        assert httpx.get(f"{url}/places", params={"named": "x" * 5000}).status_code == 400
    assert gazetteer.LIST.stat().st_size < 500_000
