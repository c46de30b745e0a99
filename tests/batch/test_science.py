"""Processes of science as jobs: what they give is what the plain functions give."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import rasterio
from shapely.geometry import box, mapping

import geodes_lab as gl
from geodes_lab import products as opening
from geodes_lab.batch.submission import prepared
from geodes_lab.errors import GeodesError
from geodes_lab.processing import references

AREA = (2.31, 43.395, 2.33, 43.41)
UTM = {"crs": 32631, "resolution": 20.0}


@pytest.fixture
def found(sample):
    """Search the sample; while a test runs, its products are in the mirror."""
    url = str(sample / "catalog" / "catalog.json")
    chosen = {"geodes_lab.catalog.profiles.local.url": url, "geodes_lab.datalake.mirror": str(sample / "datalake")}
    with dask.config.set(chosen):
        yield lambda collection, **how: list(gl.search(collection, profile="local", **how))


def bands(job) -> dict[str, np.ndarray]:
    (item,) = job.results()
    (asset,) = item.assets.values()
    with rasterio.open(asset.href.removeprefix("file://")) as file:
        return {str(name): file.read(n) for n, name in enumerate(file.descriptions, 1)}


def test_rtc_over_the_terrain_of_the_job(found, run):
    items = found("PEPS_S1_L1", bbox=AREA, datetime="2021-09-01/2021-10-31", product_type="GRD")[:2]
    dem = found("COP_DEM_GLO_30")
    region = mapping(box(*AREA))
    how = {"region": region, "tile": 64, **UTM}
    job = gl.process("rtc", items, dem=dem, angle=True, despeckle=True, window=3, **how)
    run()
    assert job.status == "successful", job.message
    made = job.cube().isel(time=0).compute()
    cube = gl.open_cube(
        items, bands=["gamma0_rtc_vv", "local_incidence_angle", "layover_shadow_mask"], dem=dem, like=made.odc.geobox
    ).compute()  # fmt: skip
    smooth = gl.despeckle(cube[["gamma0_rtc_vv"]].where(cube.layover_shadow_mask == 0), window=3)
    want = smooth.gamma0_rtc_vv.mean("time")
    inner = {"y": slice(8, 56), "x": slice(8, 56)}  # a filter knows no neighbours of its tile
    np.testing.assert_allclose(made.gamma0_rtc_vv[inner], want[inner], rtol=1e-5)
    assert int(np.isfinite(made.gamma0_rtc_vv).sum()) > 1000
    assert set(np.unique(made.passes)) <= {0, 1, 2}
    either = np.bitwise_or.reduce(cube.layover_shadow_mask.values.astype(int), axis=0)
    np.testing.assert_array_equal(made.layover_shadow_mask, np.where(either > 3, made.layover_shadow_mask, either))
    np.testing.assert_allclose(made.local_incidence_angle, cube.local_incidence_angle.mean("time"), rtol=1e-5)


def test_pairs_are_those_of_the_plain_functions(found, run):
    items = found("PEPS_S1_L1", datetime="2021-10-10/2021-11-01", product_type="SLC")
    dem = found("COP_DEM_GLO_30")
    whole = gl.open_pair(*sorted(items, key=lambda i: str(i.datetime)), multilook=(10, 2), dem=dem, refine=False)
    west, south, east, north = whole.odc.geobox.geographic_extent.boundingbox.bbox
    middle, side = ((west + east) / 2, (south + north) / 2), 0.01
    area = (middle[0] - side, middle[1] - side, middle[0] + side, middle[1] + side)
    how = {"region": mapping(box(*area)), "crs": 32631, "resolution": 40.0, "dem": dem, "multilook": [10, 2]}
    jobs = [gl.process("interferogram", items[::-1], refine=False, **how), gl.process("coherence", items, **how)]
    run()
    assert [j.status for j in jobs] == ["successful"] * 2, jobs[0].message
    plain = {"crs": 32631, "resolution": 40.0, "dem": dem, "multilook": (10, 2), "bbox": area}
    pair = gl.open_pair(*sorted(items, key=lambda i: str(i.datetime)), refine=False, **plain).compute()
    series = gl.coherence_series(items, **plain).compute()
    maps, mean = (bands(job) for job in jobs)
    for name in ("coherence", "phase", "los_up", "perpendicular_baseline", "layover_shadow_mask"):
        np.testing.assert_allclose(maps[name], pair[name], rtol=1e-5, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(mean["coherence"], series.coherence[0], rtol=1e-5)
    assert np.isfinite(maps["phase"]).sum() > 500


def test_canopy_is_that_of_the_plain_function(found, run):
    items = found("THEIA_REFLECTANCE_SENTINEL2_L2A")[:2]
    area = mapping(box(1.81, 43.57, 1.82, 43.58))
    job = gl.process("canopy", items, region=area, tile=64, mask=["cloud"], variables=["lai", "ccc"])
    run()
    assert job.status == "successful", job.message
    made = job.cube().isel(time=0).compute()
    assert abs(made.odc.geobox.affine.a) == 20
    several = gl.biophysical(items, ["lai", "ccc"], mask=["cloud"], invalid="mask", geometry=area).compute()
    want = several.median("time")
    near = made.sel(x=want.x[5:-5], y=want.y[5:-5])
    for name in ("lai", "ccc"):
        np.testing.assert_allclose(near[name], want[name][5:-5, 5:-5], rtol=1e-4, err_msg=name)
    with pytest.raises(GeodesError, match="canopy is for pixels of 20 m or more"):
        gl.process("canopy", items, region=area, resolution=10)


@pytest.mark.attack
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("/vsicurl/http://10.0.0.1/x.tif", "path of GDAL's virtual files"),
        ("https://me:secret@host.example/x.tif", "has a user or a password at host.example"),
        ("https://host.example/x.tif?sig=secret", "leave out the part from"),
        ("../../etc/passwd", "has '..' in it"),
        ("file:///a/../b", "has '..' in it"),
        ("gopher://host/x", "of the kind 'gopher'"),
        ("http://[x/", "not an address that can be read"),
        ("x\x00.tif", "without control characters"),
        ("x" * 3000, "of 1 to 2000 characters"),
        ("", "of 1 to 2000 characters"),
        ({"type": "Feature"}, "no STAC Item with assets"),
        ([], "cannot be"),
        (["s3://a/b.tif"] * 2000, "cannot be"),
        (7, "cannot be"),
    ],
)
def test_hostile_names_of_terrain_models(products, name, sentence):
    for reads in (True, False):
        with pytest.raises(GeodesError, match=sentence) as caught:
            prepared("rtc", products, {"dem": name}, reads=reads, crs=32631, resolution=10)
        assert "secret" not in str(caught.value)


def test_a_name_stays_the_same_file(products, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dem.tif").write_bytes(b"one")
    how = {"crs": 32631, "resolution": 10}
    with monkeypatch.context() as closed:
        closed.setattr(opening, "unpack", pytest.fail)
        asked = [prepared("rtc", products, {"dem": "dem.tif"}, reads=False, **how) for _ in range(2)]
    assert asked[0].request.inputs["dem"] == "dem.tif", "below the home of the runner"
    assert references.opened("dem.tif") == str(tmp_path / "dem.tif")
    assert asked[0].units[0][1] != asked[1].units[0][1], "a file that nobody looked at may have changed"
    first, again = (prepared("rtc", products, {"dem": "dem.tif"}, **how) for _ in range(2))
    assert first.request.inputs["dem"] == str(tmp_path / "dem.tif")
    assert first.units == again.units
    (tmp_path / "dem.tif").write_bytes(b"other")
    assert prepared("rtc", products, {"dem": "dem.tif"}, **how).units[0][1] != first.units[0][1]
    with pytest.raises(GeodesError, match="does not exist"):
        prepared("rtc", products, {"dem": "none.tif"}, **how)
    with pytest.raises(GeodesError, match="needs the input dem"):
        prepared("rtc", products, {}, **how)
    with pytest.raises(GeodesError, match="leave out clip="):
        prepared("interferogram", products, {}, region=mapping(box(*AREA)), clip=True)
