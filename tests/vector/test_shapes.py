"""Shapes of files that other programs wrote, and of what a person has in Python: the same place each way; lies are refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geom import Geometry

import geodes_lab as gl
from geodes_lab.vector import shapes

FIELD = shapely.Polygon([(1.70, 43.50), (1.80, 43.52), (1.78, 43.60), (1.69, 43.58)])
WOOD = shapely.Polygon([(1.82, 43.55), (1.90, 43.55), (1.86, 43.62)], [[(1.85, 43.56), (1.87, 43.56), (1.86, 43.58)]])


@pytest.fixture(scope="module")
def frame() -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame({"name": ["field", "wood"], "ha": [3.5, 7.0]}, geometry=[FIELD, WOOD], crs=4326)


def written(frame: geopandas.GeoDataFrame, folder: Path, kind: str) -> Path:
    """A file of a frame, by GDAL."""
    path = folder / f"zones.{kind.partition('.')[0]}"
    if kind == "kmz":
        inner = written(frame, folder, "kml")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(inner, "doc.kml")
    elif kind == "zip":
        written(frame, folder, "shp")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in folder.glob("zones.*"):
                if part != path:
                    archive.write(part, f"parcels/{part.name}")
    else:
        driver = {"geojson": "GeoJSON", "gpkg": "GPKG", "shp": "ESRI Shapefile", "kml": "KML"}[kind]
        frame.to_file(path, driver=driver, engine="pyogrio")
    return path


@pytest.mark.parametrize("kind", ["geojson", "gpkg", "shp", "zip", "kml", "kmz"])
def test_file_of_another_program(frame, tmp_path, kind):
    found = shapes.read("geometry", written(frame, tmp_path, kind))
    assert [s.name for s in found] == ["field", "wood"]
    for one, geometry in zip(found, (FIELD, WOOD), strict=True):
        assert one.geometry.crs == "EPSG:4326"
        # The shape, whatever order its corners have; KML has 15 digits.
        assert shapely.symmetric_difference(one.geometry.geom, geometry).area < 1e-12
    if kind != "kml" and kind != "kmz":
        assert [s.properties["ha"] for s in found] == [3.5, 7.0]


@pytest.mark.parametrize("kind", ["gpkg", "shp", "zip"])
def test_file_in_metres_is_the_same_place(frame, tmp_path, kind):
    """Oracle: geopandas' own conversion; edges are straight there and here alike, to a centimetre."""
    found = shapes.degrees("geometry", written(frame.to_crs(2154), tmp_path, kind))
    expected = shapely.union_all(shapely.segmentize(frame.to_crs(2154).geometry.values, 50))
    expected = geopandas.GeoSeries([expected], crs=2154).to_crs(4326).iloc[0]
    assert shapely.hausdorff_distance(found, expected) < 1e-7  # degrees


def test_what_python_has(frame):
    """An edge is straight in the CRS in which it was given (RFC 7946, 3.1.1): in metres it has corners in between here."""
    both = shapely.union_all([FIELD, WOOD])
    dense = frame.set_geometry(frame.segmentize(1e-3))
    for value in (
        frame, frame.geometry, json.loads(frame.to_json()), frame.to_json(), [FIELD, WOOD], both,
        Geometry(both, "EPSG:4326"), dense.to_crs(32631),
    ):  # fmt: skip
        assert shapely.symmetric_difference(shapes.degrees("geometry", value), both).area < 1e-9


def test_old_geojson_that_says_its_crs(frame):
    metres = json.loads(frame.to_crs(32631).to_json())
    metres["crs"] = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32631"}}
    assert shapes.read("geometry", metres)[0].geometry.crs == "EPSG:32631"
    metres["crs"] = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    with pytest.raises(gl.GeodesError, match="not degrees"):
        shapes.read("geometry", metres)
    metres["crs"]["properties"]["name"] = "the mayor's own"
    with pytest.raises(gl.GeodesError, match="the mayor's own"):
        shapes.read("geometry", metres)


def test_layer_is_named_where_there_are_several(frame, tmp_path):
    path = tmp_path / "land.gpkg"
    frame.iloc[:1].to_file(path, layer="fields", driver="GPKG")
    frame.iloc[1:].to_file(path, layer="woods", driver="GPKG")
    with pytest.raises(gl.GeodesError, match=r"2 layers with shapes \(fields, woods\).*\|layername=fields"):
        shapes.read("geometry", path)
    assert [s.name for s in shapes.read("geometry", f"{path}|layername=woods")] == ["wood"]
    with pytest.raises(gl.GeodesError, match="names the layer lakes"):
        shapes.read("geometry", f"{path}|layername=lakes")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), "Self-intersection.*make_valid"),
        (shapely.Polygon(), "empty"),
        (shapely.Point(500_000, 4_800_000), "not degrees"),
        ({"type": "FeatureCollection", "features": []}, "no shape"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, "x"]]]}, "no geometry that can be read"),
        ({"type": "Feature", "geometry": "x"}, "not valid GeoJSON"),
        ({"type": "FeatureCollection", "features": 7}, "no list of features"),
        ("{", "not valid GeoJSON"),
        ("nowhere.gpkg", "cannot be read .No such file"),
        ("/dev/zero", "is not a file"),
        (3.5, "not float"),
        (Geometry(FIELD, None), "no CRS"),
        (geopandas.GeoSeries([FIELD]), "set_crs"),
    ],
)
def test_refused_in_a_sentence(value, sentence):
    with pytest.raises(gl.GeodesError, match=sentence):
        shapes.read("geometry", value)


@pytest.mark.parametrize(
    "text",
    [
        b'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/etc/passwd</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>',
        b'<?xml version="1.0"?><!DOCTYPE k [<!ENTITY e SYSTEM "file:///etc/passwd">]><kml>&e;</kml>',
        b"a,b\n1,2\n",
        b"SQLite format 3\0" + bytes(500),
        b"PK\x03\x04" + bytes(100),
        b"",
        b"\0\0\x27\x0a" + bytes(100),
    ],
)
def test_file_that_is_a_trap(tmp_path, text):
    """A recipe by which GDAL would open other files, entities, other formats, what is cut: each is refused."""
    for name in ("zones.geojson", "zones.kml", "zones.gpkg", "zones.shp"):
        path = tmp_path / name
        path.write_bytes(text)
        with pytest.raises(gl.GeodesError, match="zones"):
            shapes.read("geometry", path)


def test_zip_that_claims_much_is_not_unpacked(frame, tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.shp", "w") as member:
        for _ in range(300):
            member.write(bytes(2**20))
    with pytest.raises(gl.GeodesError, match="contains more than 256 MiB"):
        shapes.read("geometry", path)


@given(st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=5), lambda c: st.lists(c, max_size=4)))
def test_any_coordinates_are_read_or_refused(coordinates):
    with pytest.raises(gl.GeodesError):
        shapes.read("geometry", {"type": "MultiPolygon", "coordinates": [[coordinates]]})


def test_edges_are_bent_by_a_conversion():
    """A degree-long edge of a parallel is no straight line in UTM: its corners in between lie on the parallel."""
    box = shapes.converted(Geometry(shapely.box(0, 45, 2, 46), "EPSG:4326"), shapes.CRS("EPSG:32631"))
    back = shapely.get_coordinates(box.to_crs("EPSG:4326").geom)
    assert np.abs(back[:, 1] - 45.5).max() == pytest.approx(0.5, abs=1e-9)
    assert len(back) > 100
