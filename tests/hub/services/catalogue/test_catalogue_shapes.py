"""A file of shapes that a browser sends to the catalogue: read aside, bounded, and its owner's alone."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path

import geopandas
import httpx
import pytest
from shapely.geometry import box, mapping, shape

from hub.services.catalogue.app import made
from hub.services.maps.shapes import Shapes
from tests.hub.services.catalogue.test_catalogue_service import KnownTokens
from tests.support.servers.served import served

FIELDS = geopandas.GeoDataFrame(
    {"name": ["a", "b"]}, geometry=[box(1.4, 43.5, 1.5, 43.6), box(1.6, 43.5, 1.7, 43.6)], crs="EPSG:4326"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalogue")
    with served(made(folder / "harvested", folder / "results", hub=KnownTokens())) as url:
        yield url


def send(url: str, name: str, data: bytes, token: str = "a") -> httpx.Response:
    body = {"name": name, "data": base64.b64encode(data).decode()}
    headers = {"Authorization": f"token {token}"} if token else {}
    return httpx.post(f"{url}/shapes", json=body, headers=headers, timeout=60)


def written(folder: Path, kind: str) -> Path:
    if kind == ".zip":
        FIELDS.to_crs("EPSG:32631").to_file(folder / "fields.shp")
        with zipfile.ZipFile(folder / "fields.zip", "w") as archive:
            for part in folder.glob("fields.[!z]*"):
                archive.write(part, part.name)
    elif kind == ".kml":
        rings = [" ".join(f"{x},{y}" for x, y in area.exterior.coords) for area in FIELDS.geometry]
        places = "".join(
            f"<Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>{ring}</coordinates></LinearRing>"
            "</outerBoundaryIs></Polygon></Placemark>"
            for ring in rings
        )
        text = f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{places}</Document></kml>'
        (folder / "fields.kml").write_text(text)
    else:
        FIELDS.to_file(folder / f"fields{kind}")
    return folder / f"fields{kind}"


@pytest.mark.parametrize("kind", [".geojson", ".gpkg", ".zip", ".kml"])
def test_file_becomes_the_area_of_a_search(service, tmp_path, kind):
    answer = send(service, f"my fields{kind}", written(tmp_path, kind).read_bytes())
    assert answer.status_code == 200, answer.text
    area = shape(answer.json()["geometry"])
    assert (
        area.symmetric_difference(FIELDS.union_all()).area < 1e-3 * area.area
    )  # edges that are straight in metres are not in degrees
    again = f"{service}/shapes/{answer.json()['id']}"
    mine = httpx.get(again, headers={"Authorization": "token a"})
    assert shape(mine.json()["geometry"]).equals(area)
    assert httpx.get(again, headers={"Authorization": "token b"}).status_code == 404, "another person's"
    assert httpx.get(again).status_code == 401


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.geojson", b"{", "is not valid GeoJSON"),
        ("a.zip", b"PK\x03\x04 no zip", "a zip that cannot be read"),
        ("a.shp", b"\0\0\x27\x0a", "zip it with its .shx"),
        ("../../etc/passwd", b"root:x", "not a supported file of shapes"),
        ("<img src=x>.vrt", b"<OGRVRTDataSource/>", "<img src=x>.vrt"),
        ("a.gpkg", b"SQLite format 3\0" + bytes(52) + b"GPKG" + bytes(4000), "cannot be read"),
        ("many.geojson", json.dumps(mapping(box(0, 0, 1, 1).segmentize(1e-4))).encode(), "a search may have 10,000"),
    ],
)
def test_what_is_no_file_of_shapes_is_refused_by_its_name(service, name, data, sentence):
    answer = send(service, name, data)
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]
    assert "/tmp/" not in answer.json()["detail"]


def test_who_has_not_logged_in_sends_nothing(service):
    assert send(service, "a.geojson", b"{}", token="").status_code == 401


@pytest.mark.parametrize("body", [b"[]", b'{"name": "a"}', b'{"name": "a", "data": "%%%"}'])
def test_body_that_is_no_file_is_refused(service, body):
    headers = {"Authorization": "token a", "Content-Type": "application/json"}
    assert httpx.post(f"{service}/shapes", content=body, headers=headers).status_code == 400


def test_each_person_has_the_last_few():
    shapes = Shapes()
    names = [shapes.keep("alice", mapping(box(0, 0, 1, n))) for n in range(1, 12)]
    other = shapes.keep("bob", mapping(box(0, 0, 1, 1)))
    assert [shapes.of("alice", n) is not None for n in names] == [False] * 3 + [True] * 8
    assert shapes.of("bob", other)
    assert shapes.of("bob", names[-1]) is None
