"""Terrain models under a radar image: what their heights are above, tiles, the sea; held against PROJ and NGA's own values."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path

import numpy as np
import pyproj
import pystac
import pytest
import rasterio
import xarray as xr
import xarray_sentinel.sentinel1 as xarray_sentinel
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio import Affine
from scipy.interpolate import CubicSpline, RegularGridInterpolator
from scipy.optimize import minimize_scalar

import geodes_lab as gl
from geodes_lab.archive.archive import Archive
from geodes_lab.products.sentinel1 import annotation as sentinel1_annotation
from geodes_lab.products.sentinel1 import calibration, geometry
from geodes_lab.products.sentinel1.flattening import scene
from geodes_lab.products.terrain import datum, sheet
from geodes_lab.products.terrain import model as terrain_model
from geodes_lab.raster import geoid
from geodes_lab.sample.sentinel1 import grd as generator

COPERNICUS = "Copernicus_DSM_COG_10_N43_00_E001_00_DEM.tif"
HOME = GeoBox.from_bbox((403_000, 4_823_000, 406_000, 4_827_000), "EPSG:32631", resolution=10)  # of the sample

# Latitude, longitude and height of the geoid as NGA publishes them with its program for EGM96 (INTPT), and GeographicLib at Timbuktu.
PUBLISHED = [
    (38.628155, 269.779155, -31.628),
    (-14.621217, 305.021114, -2.969),
    (46.874319, 102.448729, -43.575),
    (-23.617446, 133.874712, 15.871),
    (38.625473, 359.9995, 50.066),
    (-0.466744, 0.0023, 17.329),
    (16.775833, -3.009444, 28.7068),
]


def proj(lon, lat):
    """The geoid by PROJ, which is bilinear between the values of the grid."""
    steps = f"+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step +proj=vgridshift +grids={geoid._GRID} +multiplier=1"
    return Transformer.from_pipeline(steps).transform(lon, lat, np.zeros(np.shape(lon)))[2]


def degrees(grid: GeoBox):
    x, y = np.meshgrid(grid.coords[grid.dimensions[1]].values, grid.coords[grid.dimensions[0]].values)
    return Transformer.from_crs(str(grid.crs), 4326, always_xy=True).transform(x, y)


def ground(relief, told: sentinel1_annotation.Annotation, grid: GeoBox):
    place = told.grid.points(told.spacing).places(grid)
    return scene.heights(relief, told, sheet.points(grid), place)


def write(path: Path, values, transform: Affine, crs="EPSG:4326", **more) -> Path:
    values = np.asarray(values)
    profile = {
        "driver": "GTiff",
        "count": 1,
        "height": values.shape[0],
        "width": values.shape[1],
        "dtype": values.dtype,
    }
    units = more.pop("units", None)
    with rasterio.open(path, "w", **profile, crs=crs, transform=transform, **more) as file:
        file.write(values, 1)
        if units:
            file.units = [units]
    return path


def hills(lon, lat):
    """A relief for tests, metres."""
    return 300 + 200 * np.sin(lon * 300) * np.cos(lat * 200) + 1000 * (lon - 1.8)


def model(path: Path, west=1.75, north=43.65, rows=540, cols=540, step=1 / 3600, **more) -> Path:
    """`hills`, as a model of 1 second."""
    lon, lat = west + step * (np.arange(cols) + 0.5), north - step * (np.arange(rows) + 0.5)
    heights = hills(*np.meshgrid(lon, lat)).astype(np.float32)
    return write(path, heights, Affine(step, 0, west, 0, -step, north), **more)


def test_geoid_is_as_published():
    lat, lon, want = np.array(PUBLISHED).T
    assert np.abs(geoid.undulation(lon, lat) - want).max() < 0.01


def test_geoid_goes_round_the_world_and_is_projs_at_its_own_values():
    lat = np.linspace(-80, 80, 33)
    np.testing.assert_allclose(
        geoid.undulation(np.full(33, -180.0), lat), geoid.undulation(np.full(33, 180.0), lat), atol=1e-9
    )
    np.testing.assert_allclose(
        geoid.undulation(np.full(33, 350.1), lat), geoid.undulation(np.full(33, -9.9), lat), atol=1e-9
    )
    lon, lat = np.meshgrid(np.arange(-179.75, 180, 7.25), np.arange(-89, 89, 3.25))
    np.testing.assert_allclose(geoid.undulation(lon, lat), proj(lon, lat), atol=1e-4)
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(-180, 180, 20_000), rng.uniform(-75, 75, 20_000)
    assert np.sqrt(np.mean((geoid.undulation(lon, lat) - proj(lon, lat)) ** 2)) < 0.06, (
        "PROJ is bilinear: as GeographicLib says of it"
    )


@pytest.mark.parametrize(
    ("name", "above"),
    [
        (COPERNICUS, "geoid"),
        ("Copernicus_DSM_10_N43_00_E001_00_DEM.tif", "geoid"),
        ("DEM1_SAR_DGE_30_20110501T174859_20140819T175717_ADS_000000_6546.tif", "geoid"),
        ("output_COP30.tif", "geoid"),
        ("srtm_36_04.tif", "geoid"),
        ("N43E001.SRTMGL1.tif", "geoid"),
        ("n43_e001_1arc_v3.tif", "geoid"),
        ("output_SRTMGL1E.tif", "ellipsoid"),
        ("SRTM_GL1_Ellip_srtm.tif", "ellipsoid"),
        ("NASADEM_HGT_n43e001.tif", "geoid"),
        ("ASTGTMV003_N43E001_dem.tif", "geoid"),
        ("ALPSMLC30_N043E001_DSM.tif", "geoid"),
        ("output_AW3D30_E.tif", "ellipsoid"),
        ("AW3D30_E001_N43.tif", "geoid"),
        ("n40e000_dem.tif", "geoid"),
        ("N43E001_FABDEM_V1-2.tif", "geoid"),
        ("TDM1_DEM__30_N43E001_DEM.tif", "ellipsoid"),
        ("TDM1_EDEM_10_N43E001_V01_C_EDEM_W84.tif", "ellipsoid"),
        ("TDM1_EDEM_10_N43E001_V01_C_EDEM_EGM.tif", "geoid"),
        ("arcticdem_mosaic_100m_v4.1_dem.tif", "ellipsoid"),
        ("rema_mosaic_100m_v2.0_dem.tif", "ellipsoid"),
        ("RGEALTI_FXX_0565_6280_MNT_LAMB93_IGN69.tif", "geoid"),
    ],
)  # fmt: skip
def test_known_models_are_known_by_name(tmp_path, name, above):
    (tile,) = terrain_model.of(
        write(tmp_path / name, np.zeros((9, 9), np.float32), Affine(0.1, 0, 1, 0, -0.1, 44)), None
    ).tiles
    assert tile.datum.above == above


@pytest.mark.parametrize(
    "name", ["mountains.tif", "Copernicus_DSM_ellipsoidal.tif", "srtm_36_04_W84.tif", "dem_hae.tif"]
)
def test_what_nobody_says_is_asked(tmp_path, radar, name):
    path = write(tmp_path / name, np.zeros((9, 9), np.float32), Affine(0.1, 0, 1, 0, -0.1, 44))
    with pytest.raises(
        gl.GeodesError, match=rf"{name} may have heights above .* dem_heights='geoid' or dem_heights='ellipsoid'"
    ):
        gl.open_cube([radar], bands=["vv"], dem=path)
    for chosen in ("geoid", "ellipsoid"):
        cube = gl.open_cube([radar], bands=["vv"], dem=path, dem_heights=chosen)
        assert f"heights above the {chosen} (as dem_heights='{chosen}' says)" in cube.vv.attrs["geolocation"]


@pytest.mark.parametrize(
    ("crs", "above", "metre", "said"),
    [
        ("EPSG:9707", "geoid", 1, "EGM96 height"),
        ("EPSG:9518", "geoid", 1, "EGM2008 height"),
        ("EPSG:4326+3855", "geoid", 1, "EGM2008 height"),
        ("EPSG:2154+5720", "geoid", 1, "NGF-IGN69 height"),
        ("EPSG:32631+6360", "geoid", 1200 / 3937, "NAVD88 height"),
        ("EPSG:4979", "ellipsoid", 1, "WGS 84"),
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_crs_of_three_dimensions_is_honoured(tmp_path, crs, above, metre, said, version):
    """Whatever the name says."""
    if version == "1.0" and crs == "EPSG:4979":
        pytest.skip("GeoTIFF 1.0 cannot say it")
    flat = pyproj.CRS(crs).sub_crs_list[0] if pyproj.CRS(crs).is_compound else pyproj.CRS("EPSG:4326")
    step = 30.0 if flat.is_projected else 0.001
    name = "TDM1_DEM__30.tif" if above == "geoid" else COPERNICUS
    corner = (565_000, 6_280_000) if flat.is_projected else (1.0, 44.0)
    path = write(
        tmp_path / name,
        np.zeros((9, 9), np.float32),
        Affine(step, 0, corner[0], 0, -step, corner[1]),
        crs,
        GEOTIFF_VERSION=version,
    )
    (tile,) = terrain_model.of(path, None).tiles
    assert tile.source.epsg == flat.to_epsg()
    assert (tile.datum.above, tile.datum.metre) == (above, pytest.approx(metre))
    assert said in tile.datum.reason
    assert terrain_model.of(path, "ellipsoid").tiles[0].datum.above == "ellipsoid", "what the user says counts more"
    assert gl.open_product(path), "and such a raster opens as any other"


def test_units_are_made_metres_or_refused(tmp_path):
    at = Affine(0.001, 0, 1.8, 0, -0.001, 43.6)
    grid = GeoBox((5, 5), at * Affine.translation(2, 2), "EPSG:4326")
    path = write(tmp_path / "a.tif", np.full((9, 9), 1000, np.int16), at, units="ft")
    np.testing.assert_allclose(terrain_model.of(path, "ellipsoid").heights(grid).height, 304.8)
    with pytest.raises(gl.GeodesError, match=r"b\.tif has heights in 'K', .* save it in metres"):
        terrain_model.of(write(tmp_path / "b.tif", np.zeros((9, 9), np.float32), at, units="K"), "ellipsoid")
    depths = pyproj.CRS("EPSG:4326+5715")  # mean sea level depth
    with pytest.raises(gl.GeodesError, match=r"c\.tif has depths, not heights"):
        terrain_model.of(write(tmp_path / "c.tif", np.zeros((9, 9), np.float32), at, depths), None)


def test_arguments_that_make_no_sense(radar, tmp_path):
    with pytest.raises(gl.GeodesError, match="dem_heights is 'geoid' or 'ellipsoid', not 'egm96'"):
        gl.open_cube([radar], bands=["vv"], dem_heights="egm96")
    with pytest.raises(gl.GeodesError, match="give dem= too"):
        gl.open_cube([radar], bands=["vv"], dem_heights="geoid")
    with pytest.raises(gl.GeodesError, match="dem= is an empty list"):
        gl.open_cube([radar], bands=["vv"], dem=[])


@pytest.mark.parametrize("crs", ["EPSG:32631", "EPSG:4326"])
def test_heights_are_the_models_between_its_own_and_the_geoid(tmp_path, crs):
    """Against scipy at the exact places, and PROJ."""
    path = model(tmp_path / COPERNICUS)
    grid = HOME if crs == "EPSG:32631" else GeoBox((300, 400), Affine(1e-4, 0, 1.80013, 0, -1e-4, 43.60007), crs)
    lon, lat = degrees(grid)
    with rasterio.open(path) as file:
        values, at = file.read(1).astype(float), file.transform
    known = at.f + at.e * (np.arange(540) + 0.5), at.c + at.a * (np.arange(540) + 0.5)
    want = RegularGridInterpolator((known[0][::-1], known[1]), values[::-1])((lat, lon)) + proj(lon, lat)
    found = pickle.loads(pickle.dumps(terrain_model.of(path, None))).heights(grid).height
    assert np.abs(found - want).max() < 0.1, "PROJ is bilinear in the geoid"
    part = terrain_model.of(path, None).heights(grid[37:91, 12:250]).height
    np.testing.assert_allclose(part, found[37:91, 12:250], atol=1e-3)


@pytest.mark.parametrize("resolution", [10, 30, 100, 400])
@pytest.mark.parametrize("overlap", [0, 1])
def test_tiles_are_one_model_without_seams(tmp_path, resolution, overlap):
    """As Copernicus has them, side by side, and as SRTM has them, with a row and a column in common."""
    grid = GeoBox.from_bbox((402_000, 4_822_000, 407_000, 4_828_000), "EPSG:32631", resolution=resolution)
    whole = terrain_model.of(model(tmp_path / "srtm_whole.tif"), None).heights(grid).height
    tiles = []
    for row, col in itertools.product((0, 1), (0, 1)):
        step, size = 1 / 3600, 270 + overlap
        name = f"srtm_{row}{col}.tif"
        tiles.append(
            model(tmp_path / name, 1.75 + col * 270 * step, 43.65 - row * 270 * step, size, size, nodata=-32768)
        )
    found = terrain_model.of(tiles, None).heights(grid).height
    assert not np.isnan(found).any()
    if resolution <= 30:
        np.testing.assert_allclose(found, whole, atol=1e-3)
    else:
        assert np.abs(found - whole).max() < 0.05 * np.ptp(whole), "a cell over a seam is the mean of two means"
        assert np.median(np.abs(found - whole)) < 1e-3


@pytest.mark.parametrize("crs", ["EPSG:32760", "EPSG:32701", "EPSG:3832", "EPSG:4326"])
def test_tiles_on_both_sides_of_180_degrees(tmp_path, crs):
    """Fiji, in both zones and about the Pacific; in degrees a grid ends at 180."""

    def far(lon, lat):
        return hills(np.mod(lon, 360) - 178.2, lat)

    step, tiles = 6 / 3600, []
    for west in (179.0, -180.0):
        lon, lat = west + step * (np.arange(600) + 0.5), -16 - step * (np.arange(600) + 0.5)
        name = f"Copernicus_DSM_COG_10_S17_00_{'E179' if west > 0 else 'W180'}_00_DEM.tif"
        values = far(*np.meshgrid(lon, lat)).astype(np.float32)
        tiles.append(write(tmp_path / name, values, Affine(step, 0, west, 0, -step, -16)))
    if crs == "EPSG:4326":
        grid = GeoBox.from_bbox((179.8, -16.6, 180, -16.4), crs, resolution=0.002)
    else:
        (x,), (y,) = rasterio.warp.transform("EPSG:4326", crs, [180.0], [-16.5])[:2]
        grid = GeoBox.from_bbox((x - 20_000, y - 20_000, x + 20_000, y + 20_000), crs, resolution=200)
    lon, lat = degrees(grid)
    for order in (1, -1):
        heights = terrain_model.of(tiles[::order], None).heights(grid)
        assert not np.isnan(heights.height).any()
        difference = heights.height - far(lon, lat) - proj(lon, lat)
        assert np.abs(difference[np.abs(np.abs(lon) - 180) > 0.003]).max() < 10, "of hills of 200 m in ten pixels"
        assert np.median(np.abs(difference)) < 2


@pytest.mark.parametrize("west", [-180.0, 0.0])
def test_a_model_of_the_world_goes_on_beyond_its_edge(tmp_path, west):
    step = 0.25
    lon, lat = west + step * (np.arange(1440) + 0.5), 90 - step * (np.arange(720) + 0.5)
    x, y = np.meshgrid(lon, lat)
    values = (1000 + 500 * np.sin(np.radians(3 * x)) * np.cos(np.radians(2 * y))).astype(np.float32)
    path = write(tmp_path / "etopo.tif", values, Affine(step, 0, west, 0, -step, 90))
    for middle in (180.0, 0.0, -90.0):
        (left,), (top,) = rasterio.warp.transform("EPSG:4326", "EPSG:3857", [middle], [-16.5])[:2]
        crs = "EPSG:3832" if middle == 180 else "EPSG:3857"
        if middle == 180:
            (left,), (top,) = rasterio.warp.transform("EPSG:4326", crs, [middle], [-16.5])[:2]
        grid = GeoBox.from_bbox((left - 90_000, top - 90_000, left + 90_000, top + 90_000), crs, resolution=2000)
        lon, lat = degrees(grid)
        heights = terrain_model.of(path, None).heights(grid)
        want = 1000 + 500 * np.sin(np.radians(3 * lon)) * np.cos(np.radians(2 * lat)) + proj(lon, lat)
        assert np.abs(heights.height - want).max() < 5, "the last half pixel is flat"


def test_tiles_of_unlike_grids_and_data(tmp_path):
    """North of 50° Copernicus has wider pixels; and one tile may be above the ellipsoid."""
    left = model(tmp_path / COPERNICUS, cols=270)
    right = model(tmp_path / "TDM1_DEM_30.tif", west=1.75 + 270 / 3600, cols=135, step=2 / 3600, rows=270)
    lon, lat = degrees(HOME)
    found = terrain_model.of([left, right], None).heights(HOME).height
    want = hills(lon, lat) + np.where(lon < 1.825, proj(lon, lat), 0)
    assert np.abs(found - want)[np.abs(lon - 1.825) > 1e-3].max() < 3, "bilinear between samples"


def test_geoid_heights_put_the_image_where_it_is(radar, tmp_path):
    """Toulouse: the geoid is 50 m above the ellipsoid, which is 7 pixels of 10 m at 36°."""
    step = 3 / 3600
    lon, lat = 1.6 + step * (np.arange(600) + 0.5), 43.8 - step * (np.arange(600) + 0.5)
    heights = generator.HEIGHT - proj(*np.meshgrid(lon, lat))
    path = write(tmp_path / COPERNICUS, heights.astype(np.float32), Affine(step, 0, 1.6, 0, -step, 43.8))
    options = {"bands": ["vv"], "geobox": HOME}
    flat = gl.open_cube([radar], **options).vv.isel(time=0).compute(scheduler="sync").values
    cube = gl.open_cube([radar], **options, dem=path)
    assert (
        "heights above the geoid (Copernicus DEM, EGM2008), made ellipsoidal by EGM96" in cube.vv.attrs["geolocation"]
    )
    assert np.isclose(cube.vv.isel(time=0).compute(scheduler="sync"), flat).mean() > 0.99
    aside = (
        gl.open_cube([radar], **options, dem=path, dem_heights="ellipsoid").vv.isel(time=0).compute(scheduler="sync")
    )
    assert np.isclose(aside, flat).mean() < 0.1
    told = annotation(radar, "annotation/s1a-iw-grd-vv")
    _, right = geometry.places(HOME, told, terrain_model.of(path, None).heights(HOME).height)
    _, wrong = geometry.places(HOME, told, terrain_model.of(path, "ellipsoid").heights(HOME).height)
    metres = 10 * np.abs(right - wrong)
    np.testing.assert_allclose(metres, proj(*degrees(HOME)) / np.tan(np.radians(36.5)), rtol=0.03)
    assert metres.mean() > 60


def test_names_promise_no_more_than_they_are(radar, tmp_path):
    """Against what the calibration tables are: gamma is sigma by the cosine of the angle on the ellipsoid, over any terrain."""
    path = model(tmp_path / COPERNICUS)
    bands = ["sigma0_vv", "gamma0_vv_denoised", "beta0_vv", "incidence"]
    flat, steep = (gl.open_cube([radar], bands=bands, geobox=HOME, **o) for o in ({}, {"dem": path}))
    for cube in (flat, steep):
        assert "over the ellipsoid" in cube.sigma0_vv.attrs["long_name"]
        assert "gamma nought over the ellipsoid, VV, thermal noise" in cube.gamma0_vv_denoised.attrs["long_name"]
        assert cube.incidence.attrs["long_name"] == "Incidence angle on the ellipsoid"
    assert steep.incidence.attrs["geolocation"].endswith("the angle is that on the ellipsoid, not on the slope")
    assert steep.gamma0_vv_denoised.attrs["geolocation"].endswith("what slopes do to the brightness is not corrected")
    tree = gl.open_product(radar)["vv"]
    assert tree.incidence_angle.attrs["long_name"] == "Incidence angle on the ellipsoid"
    assert "over the ellipsoid" in tree.gamma0.attrs["long_name"]
    values = (
        gl.open_cube([radar], bands=["sigma0_vv", "gamma0_vv", "incidence"], geobox=HOME, dem=path)
        .isel(time=0)
        .compute(scheduler="sync")
    )
    ratio = np.degrees(np.arccos((values.sigma0_vv / values.gamma0_vv).values))
    here = np.isfinite(ratio)
    assert np.abs(ratio - values.incidence.values)[here].max() < 0.2


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic", "average"])
@pytest.mark.parametrize("with_model", [False, True])
def test_numbers_do_not_depend_on_chunks(radar, tmp_path, resampling, with_model):
    grid = GeoBox.from_bbox((403_000, 4_823_000, 406_000, 4_827_000), "EPSG:32631", resolution=25)
    options = {"dem": model(tmp_path / COPERNICUS)} if with_model else {}
    cubes = [
        gl.open_cube([radar], bands=["vv"], geobox=grid, resampling=resampling, chunks=c, **options)
        for c in (37, 64, 4096)
    ]
    first, *others = (c.vv.compute(scheduler="sync").values for c in cubes)
    for other in others:
        different = ~np.isclose(first, other, rtol=1e-4, equal_nan=True)
        assert different.sum() <= (20 if with_model else 0), (
            "places half-way between two pixels: heights are taken into account by a parabola"
        )


def test_real_gamma_is_over_the_ellipsoid(shared, rome):
    """Over the Apennines: the angle that ESA's two tables imply is that of the ellipsoid, by the orbit and the ellipsoid alone."""
    archive = Archive(str(next((shared / "s1-grd-rome").glob("*.SAFE"))))
    tables = calibration.read(archive, next(n for n in archive.names if "/calibration-s1b-iw-grd-vv" in n))
    known = rome.grid
    ratio = tables["gamma0"].at(known.line, known.pixel) ** 2 / tables["sigma0"].at(known.line, known.pixel) ** 2
    ecef = Transformer.from_crs(4979, 4978, always_xy=True)
    place = np.stack(ecef.transform(known.longitude, known.latitude, known.height), axis=-1)
    when = (known.azimuth_time - rome.orbit.time[0]) / np.timedelta64(1, "s")
    look = rome.orbit.path(when) - place
    lon, lat = np.radians(known.longitude), np.radians(known.latitude)
    up = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    angle = np.degrees(np.arccos((look * up).sum(-1) / np.linalg.norm(look, axis=-1)))
    assert np.abs(angle - known.incidence).max() < 0.05
    assert np.abs(np.degrees(np.arccos(ratio)) - angle).max() < 0.6, "a slope would be tens of degrees"


def test_items_of_a_search_are_tiles(radar, tmp_path):
    paths = [model(tmp_path / "1.tif", cols=270), model(tmp_path / "2.tif", west=1.75 + 270 / 3600, cols=270)]
    items = []
    for number, path in enumerate(paths):
        item = pystac.Item(
            f"tile-{number}",
            None,
            None,
            None,
            {"start_datetime": None, "end_datetime": None},
            collection="cop-dem-glo-30",
        )
        item.add_asset("data", pystac.Asset(str(path), media_type=pystac.MediaType.COG, roles=["data"]))
        items.append(item)
    cube = gl.open_cube([radar], bands=["vv"], geobox=HOME, dem=pystac.ItemCollection(items))
    assert "tile-0, tile-1, heights above the geoid (Copernicus DEM, EGM2008)" in cube.vv.attrs["geolocation"]
    assert np.isfinite(cube.vv.isel(time=0).compute(scheduler="sync")).mean() > 0.5


def annotation(product: Path, member: str) -> sentinel1_annotation.Annotation:
    archive = Archive(str(product))
    return sentinel1_annotation.read(archive, next(n for n in archive.names if member in n))


@pytest.fixture
def radar(sample) -> Path:
    return min((sample / "datalake" / "sentinel1-grd").rglob("*.zip"))


@pytest.fixture
def rome(shared) -> sentinel1_annotation.Annotation:
    return annotation(next((shared / "s1-grd-rome").glob("*.SAFE")), "annotation/s1b-iw-grd-vv")


COAST = GeoBox.from_bbox((12.0, 41.4, 12.8, 42.0), "EPSG:4326", resolution=0.004)  # Ostia, Rome, the sea before them


def test_real_heights_of_rome_are_made_ellipsoidal(shared):
    """The model of sarsen's tests says EGM96 in its CRS."""
    path = shared / "s1-grd-rome" / "Rome-30m-DEM.tif"
    grid = GeoBox.from_bbox((289_000, 4_648_000, 296_000, 4_655_000), "EPSG:32633", resolution=20)
    with rasterio.open(path) as file:
        values, at = file.read(1).astype(float), file.transform
    known = at.f + at.e * (np.arange(360) + 0.5), at.c + at.a * (np.arange(360) + 0.5)
    lon, lat = degrees(grid)
    want = RegularGridInterpolator((known[0][::-1], known[1]), values[::-1], bounds_error=False)((lat, lon)) + proj(
        lon, lat
    )
    found = terrain_model.of(path, None).heights(grid).height
    here = np.isfinite(want)
    assert here.mean() > 0.5
    assert np.abs(found - want)[here].max() < 0.05
    assert proj(lon, lat).min() > 48


def test_real_places_over_a_model_above_the_geoid(shared, rome):
    """From the file of heights to line and pixel, reckoned another way: PROJ, a spline, golden section, xarray-sentinel."""
    path = next((shared / "s1-grd-rome").glob("*.SAFE/annotation/*vv*.xml"))
    model_ = terrain_model.of(shared / "s1-grd-rome" / "Rome-30m-DEM.tif", None)
    grid = model_.tiles[0].source.geobox[100:260, 100:260]
    line, pixel = geometry.places(grid, rome, model_.heights(grid).height)
    with rasterio.open(shared / "s1-grd-rome" / "Rome-30m-DEM.tif") as file:
        heights = file.read(1)[100:260, 100:260]
    orbit = xarray_sentinel.open_orbit_dataset(str(path))
    conversion = xarray_sentinel.open_coordinate_conversion_dataset(str(path))
    since = orbit.azimuth_time.values[0]
    curve = CubicSpline((orbit.azimuth_time.values - since) / np.timedelta64(1, "s"), orbit.position.values, axis=1)
    begins = (rome.start - since) / np.timedelta64(1, "s")
    ecef = Transformer.from_crs(4979, 4978, always_xy=True)
    for row, col in ((0, 0), (80, 33), (159, 159), (17, 140)):
        x, y = grid.affine * (col + 0.5, row + 0.5)
        place = np.array(ecef.transform(x, y, heights[row, col] + float(proj(np.array([x]), np.array([y]))[0])))
        when = minimize_scalar(
            lambda t, p=place: ((curve(t) - p) ** 2).sum(),
            bounds=(begins - 5, begins + 30),
            method="bounded",
            options={"xatol": 1e-9},
        ).x
        moment = since + np.timedelta64(round(when * 1e9), "ns")
        slant = np.linalg.norm(curve(when) - place)
        ground = xarray_sentinel.slant_range_time_to_ground_range(
            xr.DataArray(moment), xr.DataArray(slant * 2 / sentinel1_annotation.LIGHT), conversion
        )
        assert abs((when - begins) / rome.interval - line[row, col]) < 0.02
        assert abs(float(ground) / 10 - pixel[row, col]) < 0.02


def test_no_data_over_the_sea_is_sea_level(rome, tmp_path):
    """One tile covers the coast and has no data on the sea; ESA's tie points say where that is."""
    lon, lat = degrees(COAST)
    some, every = geometry.sea(COAST, rome)
    assert 0.1 < every.mean() < some.mean() < 0.8
    heights = np.full((200, 300), 30, np.int16)
    step = 0.004
    x, y = 11.8 + step * (np.arange(300) + 0.5), 42.1 - step * (np.arange(200) + 0.5)
    at_sea = np.add.outer(y, 0.9 * x) < 41.75 + 0.9 * 12.25 - 0.1
    heights[at_sea] = -32768
    path = write(tmp_path / "a.tif", heights, Affine(step, 0, 11.8, 0, -step, 42.1), nodata=-32768)
    found = ground(terrain_model.of(path, "geoid"), rome, COAST)
    sea = lat + 0.9 * lon < 41.75 + 0.9 * 12.25 - 0.12
    land = lat + 0.9 * lon > 41.75 + 0.9 * 12.25 - 0.08
    np.testing.assert_allclose(found[land], proj(lon, lat)[land] + 30, atol=0.1)
    np.testing.assert_allclose(found[sea & some], proj(lon, lat)[sea & some], atol=0.1)
    assert np.isnan(found[sea & ~some]).all()


def test_the_floor_of_the_sea_and_voids_are_no_heights(rome, tmp_path):
    """GEBCO has the one; old SRTM the other, and many copies of it do not declare them."""
    lon, lat = degrees(COAST)
    some, _ = geometry.sea(COAST, rome)
    step = 0.004
    for number, (depth, dtype) in enumerate(
        [(-90, np.int16), (-2500, np.int16), (-32768, np.int16), (-3.4e38, np.float32)]
    ):
        heights = np.full((200, 300), 30, dtype)
        heights[100:] = depth
        path = write(tmp_path / f"GEBCO_2024_{number}.tif", heights, Affine(step, 0, 11.8, 0, -step, 42.1))
        found = ground(terrain_model.of(path, None), rome, COAST)
        south, north = lat < 41.69, lat > 41.71
        np.testing.assert_allclose(found[south & some], proj(lon, lat)[south & some], atol=0.1)
        np.testing.assert_allclose(found[north], proj(lon, lat)[north] + 30, atol=0.1)
        assert depth == -90 or np.isnan(found[south & ~some]).all()


def test_a_forgotten_tile_is_no_sea(rome, tmp_path):
    """Beyond the tiles every tie point about a place must say sea; a hole on land stays one, but for models that have none."""
    step = 0.004
    heights = np.full((200, 100), 30, np.int16)
    heights[:40] = -32768  # inland
    _, every = geometry.sea(COAST, rome)
    lon, lat = degrees(COAST)
    for name, holes in (("a.tif", True), (COPERNICUS, False)):
        path = write(tmp_path / name, heights, Affine(step, 0, 12.3, 0, -step, 42.1), nodata=-32768)
        found = ground(terrain_model.of(path, "geoid"), rome, COAST)
        beyond = (lon < 12.29) | (lon > 12.71)
        assert np.isnan(found[beyond & ~every]).all()
        np.testing.assert_allclose(found[beyond & every], proj(lon, lat)[beyond & every], atol=0.1)
        hole = (lat > 41.95) & (lon > 12.31) & (lon < 12.69)
        assert np.isnan(found[hole]).all() == holes


def test_tiles_of_srtm_as_they_are_distributed(tmp_path):
    """Bare big-endian numbers, whose first lies in the corner of the degree."""
    lon, lat = 1 + np.arange(1201) / 1200, 44 - np.arange(1201) / 1200
    path = tmp_path / "N43E001.hgt"
    path.write_bytes(np.rint(hills(*np.meshgrid(lon, lat))).astype(">i2").tobytes())
    values = np.fromfile(path, ">i2").reshape(1201, 1201).astype(float)
    model_ = terrain_model.of(path, None)
    x, y = degrees(HOME)
    want = RegularGridInterpolator((lat[::-1], lon), values[::-1])((y, x)) + proj(x, y)
    assert np.abs(model_.heights(HOME).height - want).max() < 0.1
    assert "heights above the geoid" in model_.note
    assert "EGM96" in model_.note
    (tmp_path / "N43E002.hgt").write_bytes(b"too small")
    with pytest.raises(gl.GeodesError, match="does not open"):
        terrain_model.of(tmp_path / "N43E002.hgt", None)


def test_the_table_of_models_says_nothing_twice():
    patterns = [m.pattern for m in datum._MODELS]
    assert len(patterns) == len(set(patterns))
