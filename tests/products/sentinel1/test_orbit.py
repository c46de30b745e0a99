"""Orbit files of Sentinel-1: those of the real products' own states change nothing, others shift by what geometry says."""

from __future__ import annotations

import zipfile
from pathlib import Path

import dask
import numpy as np
import pystac
import pytest
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from scipy.interpolate import BarycentricInterpolator
from scipy.optimize import minimize_scalar

import geodes_lab as gl
from geodes_lab.archive.archive import Archive
from geodes_lab.products.sentinel1 import annotation as sentinel1_annotation
from geodes_lab.products.sentinel1 import geometry
from geodes_lab.products.sentinel1 import orbit as sentinel1_orbit

POE = "S1{}_OPER_AUX_POEORB_OPOD_20220112T121700_V{}_{}.EOF"


@pytest.fixture
def radar(sample) -> Path:
    return min((sample / "datalake" / "sentinel1-grd").rglob("*.zip"))


def annotation(product: Path, member: str) -> sentinel1_annotation.Annotation:
    archive = Archive(str(product))
    return sentinel1_annotation.read(archive, next(n for n in archive.names if member in n))


@pytest.fixture
def rome(shared) -> sentinel1_annotation.Annotation:
    return annotation(next((shared / "s1-grd-rome").glob("*.SAFE")), "annotation/s1b-iw-grd-vv")


def text(orbit: sentinel1_annotation.Orbit, *, move=(0.0, 0.0, 0.0), frame="EARTH_FIXED", kind="POEORB") -> str:
    """A file as ESA's precise orbit determination writes it."""
    states = "".join(
        f"""      <OSV>
        <TAI>TAI={str(t + np.timedelta64(37, "s"))[:26]}</TAI>
        <UTC>UTC={str(t)[:26]}</UTC>
        <UT1>UT1={str(t)[:26]}</UT1>
        <Absolute_Orbit>+30148</Absolute_Orbit>
        <X unit="m">{p[0]:.6f}</X>
        <Y unit="m">{p[1]:.6f}</Y>
        <Z unit="m">{p[2]:.6f}</Z>
        <VX unit="m/s">{v[0]:.6f}</VX>
        <VY unit="m/s">{v[1]:.6f}</VY>
        <VZ unit="m/s">{v[2]:.6f}</VZ>
        <Quality>NOMINAL</Quality>
      </OSV>
"""
        for t, p, v in zip(orbit.time, orbit.position + move, orbit.velocity, strict=True)
    )
    return f"""<?xml version="1.0" ?>
<Earth_Explorer_File>
  <Earth_Explorer_Header>
    <Fixed_Header>
      <Mission>Sentinel-1B</Mission>
      <File_Type>AUX_{kind}</File_Type>
    </Fixed_Header>
    <Variable_Header>
      <Ref_Frame>{frame}</Ref_Frame>
      <Time_Reference>UTC</Time_Reference>
    </Variable_Header>
  </Earth_Explorer_Header>
  <Data_Block type="xml">
    <List_of_OSVs count="{len(orbit.time)}">
{states}    </List_of_OSVs>
  </Data_Block>
</Earth_Explorer_File>
"""


def named(told: sentinel1_annotation.Annotation, platform: str, name: str = POE) -> str:
    """The name of a file that is valid around an image."""
    times = (told.start - np.timedelta64(13, "h"), told.stop + np.timedelta64(13, "h"))
    return name.format(platform[-1], *(str(t)[:19].replace("-", "").replace(":", "") for t in times))


def test_own_states_as_a_file_change_nothing(rome, tmp_path):
    path = tmp_path / named(rome, "S1B")
    path.write_text(text(rome.orbit))
    (file,) = sentinel1_orbit.of(path)
    assert (file.platform, file.kind) == ("S1B", "precise")
    grid = GeoBox.from_bbox((12.3, 41.7, 12.9, 42.2), "EPSG:4326", resolution=0.005)
    for height in (None, np.full(grid.shape, 60.0)):
        own = geometry.places(grid, rome, height)
        other = geometry.places(grid, rome, height, file.orbit(rome))
        for one, same in zip(own, other, strict=True):
            np.testing.assert_allclose(one, same, atol=1e-3)


@pytest.mark.parametrize("move", [(25.0, 0.0, 0.0), (0.0, 25.0, 0.0), (0.0, 0.0, 25.0)])
def test_places_follow_the_given_orbit(rome, tmp_path, move):
    """Reckoned another way: a polynomial through eight states of the file, the nearest time by golden section."""
    path = tmp_path / named(rome, "S1B")
    path.write_text(text(rome.orbit, move=move))
    (file,) = sentinel1_orbit.of([path])
    grid = GeoBox.from_bbox((12.4, 41.9, 12.6, 42.1), "EPSG:4326", resolution=0.01)
    height = np.full(grid.shape, 60.0)
    own = [v[10, 10] for v in geometry.places(grid, rome, height)]
    line, pixel = (v[10, 10] for v in geometry.places(grid, rome, height, file.orbit(rome)))
    x, y = grid.affine * (10.5, 10.5)
    place = np.array(Transformer.from_crs(4979, 4978, always_xy=True).transform(x, y, 60.0))
    when = (rome.orbit.time - rome.start) / np.timedelta64(1, "s")
    near = np.argsort(np.abs(when - 12))[:8]

    def closest(shift):
        curve = BarycentricInterpolator(when[near], rome.orbit.position[near] + shift)
        found = minimize_scalar(
            lambda t: float(((curve(t) - place) ** 2).sum()),
            bounds=(-10, 35),
            method="bounded",
            options={"xatol": 1e-9},
        ).x
        return found, np.linalg.norm(curve(found) - place)

    before, after = closest(np.zeros(3)), closest(np.array(move))
    assert abs((line - own[0]) * rome.interval - (after[0] - before[0])) < 2e-5
    # Ground range over slant range, by the tie points about the place.
    row, col = np.searchsorted(rome.grid.line, own[0]) - 1, np.searchsorted(rome.grid.pixel, own[1]) - 1
    slant = np.diff(rome.grid.slant_range_time[row, col : col + 2])[0] * sentinel1_annotation.LIGHT / 2
    rate = np.diff(rome.grid.pixel[col : col + 2])[0] / slant
    assert abs((pixel - own[1]) - rate * (after[1] - before[1])) < 0.05
    assert np.hypot(line - own[0], pixel - own[1]) > 0.3


@pytest.mark.parametrize("packed", [False, True])
def test_cube_is_placed_by_it_and_says_so(radar, tmp_path, packed):
    told = annotation(radar, "annotation/s1a-iw-grd-vv")
    along = told.orbit.velocity[len(told.orbit.time) // 2]
    move = 200 * along / np.linalg.norm(along)
    folder = tmp_path / "orbits"
    folder.mkdir()
    path = folder / named(told, "S1A")
    path.write_text(text(told.orbit, move=move))
    if packed:
        with zipfile.ZipFile(path.with_name(path.name + ".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, path.name)
        path = path.with_name(path.name + ".zip")
    item = pystac.Item("orbit", None, None, None, {"start_datetime": None, "end_datetime": None})
    item.add_asset("data", pystac.Asset(str(path)))
    other = touched(tmp_path / POE.format("B", "20000101T000000", "20000102T000000"))
    grid = GeoBox.from_bbox((403_000, 4_823_000, 406_000, 4_827_000), "EPSG:32631", resolution=10)
    with dask.config.set(scheduler="sync"):
        own = gl.open_cube([radar], bands=["vv"], geobox=grid)
        moved = [
            gl.open_cube([radar], bands=["vv"], geobox=grid, orbits=o)
            for o in (path, item, item.to_dict(include_self_link=False), [other, str(path)])
        ]
        values = [c.vv.isel(time=0).values for c in [own, *moved]]
    assert "orbit" not in own.vv.attrs
    assert "orbits" not in own.attrs
    for cube, value in zip(moved, values[1:], strict=True):
        assert cube.vv.attrs["orbit"] == f"precise orbit {path.name.split('.')[0]}"
        assert cube.attrs["orbits"] == [cube.vv.attrs["orbit"]]
        np.testing.assert_array_equal(value, values[1])
    assert np.isclose(values[0], values[1]).mean() < 0.1
    line, _ = geometry.places(grid, told)
    shifted, _ = geometry.places(grid, told, None, sentinel1_orbit.of(path)[0].orbit(told))
    assert abs(abs((shifted - line).mean()) * 10 - 200) < 30, "on the ground a tenth less than up there"


def touched(path: Path) -> Path:
    path.touch()
    return path


def test_the_best_of_several_is_taken(rome, tmp_path):
    restituted = POE.replace("POEORB", "RESORB").replace("20220112", "20230112")
    later = POE.replace("20220112", "20220113")
    names = [named(rome, "S1B", n) for n in (restituted, POE, later)] + [named(rome, "S1A")]
    paths = [touched(tmp_path / n) for n in names]
    found = sentinel1_orbit.chosen(sentinel1_orbit.of(paths), "S1B", rome)
    assert found.name == names[2].removesuffix(".EOF")
    assert sentinel1_orbit.chosen(sentinel1_orbit.of(paths[:1]), "S1B", rome).kind == "restituted"


def test_items_name_what_their_addresses_do_not(rome, tmp_path):
    path = tmp_path / "value"
    path.write_text(text(rome.orbit))
    item = pystac.Item(
        named(rome, "S1B").removesuffix(".EOF"), None, None, None, {"start_datetime": None, "end_datetime": None}
    )
    item.add_asset("product", pystac.Asset(str(path)))
    (file,) = sentinel1_orbit.of(item)
    np.testing.assert_allclose(file.orbit(rome).position, rome.orbit.position, atol=1e-6)
    for assets in ({}, {"thumbnail": pystac.Asset(str(touched(tmp_path / "a.png")))}):
        item.id, item.assets = "elsewhere", assets
        with pytest.raises(gl.GeodesError, match="elsewhere is not an orbit file of Sentinel-1"):
            sentinel1_orbit.of(item)


def test_what_does_not_fit_is_refused(radar, rome, product, tmp_path):
    told = annotation(radar, "annotation/s1a-iw-grd-vv")
    right = touched(tmp_path / named(told, "S1A"))
    with pytest.raises(
        gl.GeodesError, match=r"orbits= has no orbit of S1A at 2021-.* it has S1B_OPER.*Give the file of that day"
    ):
        gl.open_cube([radar], bands=["vv"], orbits=touched(tmp_path / named(told, "S1B")))
    with pytest.raises(gl.GeodesError, match=r"orbits= has no orbit of S1A"):
        gl.open_cube(
            [radar], bands=["vv"], orbits=touched(tmp_path / POE.format("A", "20140101T000000", "20140102T000000"))
        )
    with pytest.raises(gl.GeodesError, match=r"mine\.xml is not an orbit file of Sentinel-1"):
        gl.open_cube([radar], bands=["vv"], orbits=touched(tmp_path / "mine.xml"))
    with pytest.raises(gl.GeodesError, match=r"orbits= is an empty list"):
        gl.open_cube([radar], bands=["vv"], orbits=[])
    with pytest.raises(gl.GeodesError, match=r"orbits= only applies to bands of Sentinel-1 in radar geometry"):
        gl.open_cube([product], bands=["red"], orbits=right)
    cube = gl.open_cube([radar], bands=["vv"], orbits=right)
    for content, said in (
        (text(told.orbit, frame="INERTIAL"), "in the reference frame INERTIAL, not EARTH_FIXED"),
        (text(rome.orbit), "has no orbit at 2021-"),
        ("<Earth_Explorer_File>", "is not valid XML"),
        (text(told.orbit).replace('<VX unit="m/s">', "<VX>x", 1), "is not a number: 'x"),
        (text(told.orbit).replace("UTC=2021", "UTC=noon", 1), "has an invalid time"),
    ):
        right.write_text(content)
        sentinel1_orbit._read.cache_clear()
        with pytest.raises(gl.GeodesError, match=said):
            cube.vv.compute(scheduler="sync")
