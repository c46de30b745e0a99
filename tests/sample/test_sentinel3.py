"""The sample's Sentinel-3 product against ESA's own tables and the truth it was made from."""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rasterio.warp import transform

from geodes_lab.sample import truth
from geodes_lab.sample.sentinel3 import products, sen3
from tests.support.paths import SHARED

pytest.importorskip("h5py", reason="h5netcdf writes and reads NetCDF-4 through h5py, which is not installed.")

PRODUCT = products.products()[0]
REFERENCE = SHARED
TABLE = REFERENCE / "eopf-structure" / "mapping" / "S03SRAL1R.json"
MODE = "_l1b_echo_sar_ku"
NAMES = {
    "safe": "http://www.esa.int/safe/sentinel/1.1",
    "s3": "http://www.esa.int/safe/sentinel/sentinel-3/1.0",
    "sral": "http://www.esa.int/safe/sentinel/sentinel-3/sral/1.0",
    "gml": "http://www.opengis.net/gml",
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sentinel3") / f"{PRODUCT.name}.zip"
    sen3.write(PRODUCT, path)
    return path


@pytest.fixture(scope="module")
def folder(path: Path) -> Path:
    zipfile.ZipFile(path).extractall(path.parent)
    return path.parent / f"{PRODUCT.name}.SEN3"


@pytest.fixture
def data(folder: Path) -> Iterator[xr.Dataset]:
    with xr.open_dataset(folder / "measurement.nc", engine="h5netcdf") as found:
        yield found


@pytest.mark.thorough
def test_the_zip_holds_what_the_manifest_says_and_little_of_it(path: Path) -> None:
    assert path.stat().st_size < 3e6
    archive = zipfile.ZipFile(path)
    names = {f"{PRODUCT.name}.SEN3/{n}" for n in ("measurement.nc", "xfdumanifest.xml")}
    assert set(archive.namelist()) == names
    assert {i.compress_type for i in archive.infolist()} == {zipfile.ZIP_STORED}
    manifest = ET.fromstring(archive.read(f"{PRODUCT.name}.SEN3/xfdumanifest.xml"))
    (entry,) = manifest.iter("dataObject")
    content = archive.read(f"{PRODUCT.name}.SEN3/{entry.find('.//fileLocation').get('href')}")
    assert hashlib.md5(content).hexdigest() == entry.findtext(".//checksum")
    assert int(entry.find("byteStream").get("size")) == len(content)
    identities = {e.get("ID") for e in manifest.iter() if e.get("ID")}
    assert set(" ".join(e.get("dmdID") or "" for e in manifest.iter()).split()) <= identities


def test_the_name_tells_times_duration_and_orbit(folder: Path, data: xr.Dataset) -> None:
    when = r"(\d{8}T\d{6})"
    pattern = rf"S3A_SR_1_SRA____{when}_{when}_{when}_(\d{{4}})_(\d{{3}})_(\d{{3}})______LN3_O_NR_004"
    start, stop, made, lasts, cycle, orbit = re.fullmatch(pattern, PRODUCT.name).groups()
    moments = data[f"time{MODE}"].values
    assert [str(m.astype("datetime64[s]")).replace("-", "").replace(":", "") for m in moments[[0, -1]]] == [start, stop]
    assert round((moments[-1] - moments[0]) / np.timedelta64(1, "s")) == int(lasts)
    manifest = ET.parse(folder / "xfdumanifest.xml").getroot()
    told = {
        "s3:productName": f"{PRODUCT.name}.SEN3",
        "s3:creationTime": made,
        "s3:productType": PRODUCT.name[4:15],
        "safe:relativeOrbitNumber": str(int(orbit)),
        "safe:cycleNumber": str(int(cycle)),
    }
    for tag, text in told.items():
        assert manifest.findtext(f".//{tag}", namespaces=NAMES) == text
    start_time = manifest.findtext(".//safe:startTime", namespaces=NAMES).removesuffix("Z")
    assert abs(np.datetime64(start_time) - moments[0]) < np.timedelta64(1, "us")


def test_altitude_minus_range_is_the_ground(data: xr.Dataset) -> None:
    height = data[f"alt{MODE}"] - data[f"range_ku{MODE}"]
    # Two roundings to a tenth of a millimetre.
    np.testing.assert_allclose(height, products.surface_height(PRODUCT.seconds), rtol=0, atol=1.01e-4)
    assert height.max() - height.min() > 100
    assert 790_000 < data[f"alt{MODE}"].min() < data[f"alt{MODE}"].max() < 830_000


def test_numbers_are_stored_as_esa_stores_them(folder: Path) -> None:
    with xr.open_dataset(folder / "measurement.nc", engine="h5netcdf", decode_cf=False) as raw:
        assert raw[f"time{MODE}"].attrs["units"] == "seconds since 2000-01-01 00:00:00.0"
        assert raw[f"lat{MODE}"].dtype == np.int32
        lat = raw[f"lat{MODE}"].values * raw[f"lat{MODE}"].attrs["scale_factor"]
        np.testing.assert_allclose(lat, products.track(PRODUCT.seconds)[1], rtol=0, atol=0.51e-6)
        distance = raw[f"range_ku{MODE}"].values * 1e-4 + 700_000
        # The tracker's command is a time of two ways, in 64ths of a tick of 3.125 ns.
        command = raw[f"h0_applied{MODE}"].values * 3.125e-9 / 64 * 299_792_458.0 / 2
        np.testing.assert_allclose(command, distance, rtol=0, atol=0.004)


def test_clocks_agree(data: xr.Dataset) -> None:
    utc = data[f"time{MODE}"].values
    day = data[f"UTC_day{MODE}"].values.astype("datetime64[ns]")
    seconds = (data[f"UTC_sec{MODE}"].values * 1e9).astype("timedelta64[ns]")
    assert (abs(day + seconds - utc) < np.timedelta64(1, "us")).all()
    gps = data[f"GPS_time{MODE}"].values
    assert (abs(gps - utc - np.timedelta64(18, "s")) < np.timedelta64(1, "us")).all()
    steps = np.diff(utc) / np.timedelta64(1, "s")
    np.testing.assert_allclose(steps, 0.0509, atol=1e-6)


def test_the_track_crosses_the_area_southward(folder: Path, data: xr.Dataset) -> None:
    lon, lat = data[f"lon{MODE}"].values, data[f"lat{MODE}"].values
    x, y = (np.array(c) for c in transform("EPSG:4326", f"EPSG:{truth.EPSG}", lon, lat))
    assert (np.diff(lat) < 0).all()
    inside = (x >= truth.WEST) & (x < truth.WEST + truth.COLS * 10) & (y < truth.NORTH)
    inside &= y >= truth.NORTH - truth.ROWS * 10
    assert inside.sum() > 30
    assert not inside[[0, -1]].any()
    np.testing.assert_allclose(np.hypot(np.diff(x[inside]), np.diff(y[inside])), 343, atol=1)
    column, row = ((x - truth.WEST) // 10).astype(int)[inside], ((truth.NORTH - y) // 10).astype(int)[inside]
    water = truth.land_cover()[row, column] == 6
    kind = data[f"surf_type{MODE}"].values
    assert water.any()
    np.testing.assert_array_equal(kind[inside] == 1, water)
    assert set(kind[~inside]) == {3}
    ring = np.array(PRODUCT.footprint)
    assert (ring[0] == ring[-1]).all()
    for place, track in zip(ring.T, (lon, lat), strict=True):
        assert place.min() < track.min() < track.max() < place.max() + 0.05
    manifest = ET.parse(folder / "xfdumanifest.xml").getroot()
    told = np.array(manifest.findtext(".//gml:posList", namespaces=NAMES).split(), float).reshape(-1, 2)
    np.testing.assert_allclose(told[:, ::-1], ring, atol=1e-4)


def test_echoes_rise_where_the_range_says(data: xr.Dataset) -> None:
    power = data[f"i2q2_meas_ku{MODE}"].values
    assert power.shape == (len(PRODUCT.seconds), products.GATES)
    mean = power[data[f"surf_type{MODE}"].values == 3].mean(0)
    floor, top = mean[:30].mean(), mean.max()
    # Retracked: where the rising edge crosses half of the power that its fading part starts from.
    fade = np.polyfit(np.arange(50, 100) - products.REFERENCE, np.log(mean[50:100] - floor), 1)
    above = np.flatnonzero(mean - floor > np.exp(fade[1]) / 2)[0]
    low, high = mean[above - 1], mean[above]
    epoch = above - 1 + (np.exp(fade[1]) / 2 + floor - low) / (high - low)
    assert epoch == pytest.approx(products.REFERENCE, abs=0.1)
    assert top > 100 * floor
    lake = power[data[f"surf_type{MODE}"].values == 1]
    assert (lake.argmax(1) - products.REFERENCE <= 1).all()
    assert lake.max(1).min() > 2 * top
    speckle = power / products.echo(PRODUCT.seconds)
    assert speckle.mean() == pytest.approx(1, abs=1e-3)
    looks = data[f"nb_stack{MODE}"].values[0]
    assert 1 / speckle.var() == pytest.approx(looks, rel=0.05)


TABLES = {
    "measurement.nc": ("S03SRAL1R",),
    "measurement_l1a.nc": ("S03SRAL1A",),
    "enhanced_measurement.nc": ("S03ALTL2H", "S03ALTL2L"),
}


@pytest.mark.parametrize(
    "product", [p for p in products.products() if p.kind != "SR_1_SRA_BS"], ids=lambda p: p.name[:30]
)
@pytest.mark.thorough
def test_variables_are_those_of_esa(product: products.Product, tmp_path: Path) -> None:
    if not TABLE.is_file():
        pytest.skip("ESA's table of the variables of ../shared/data is not here.")
    sen3.write(product, tmp_path / "x.zip")
    archive = zipfile.ZipFile(tmp_path / "x.zip")
    (member, file) = next((n, f) for n in archive.namelist() for f in TABLES if n.endswith(f"/{f}"))
    table: dict[str, dict] = {}
    for name in TABLES[file]:
        for entry in json.loads((TABLE.parent / f"{name}.json").read_text())["data_mapping"]:
            if entry.get("source_path", "").startswith(f"{file}:"):
                table[entry["source_path"].partition(":")[2]] = entry["transform"]
    with xr.open_dataset(io.BytesIO(archive.read(member)), engine="h5netcdf", decode_cf=False) as raw:
        assert set(raw.variables) <= set(table)
        assert len(raw.variables) > 20
        for name, variable in raw.variables.items():
            told = table[name]
            dims = told["dimensions"] if isinstance(told["dimensions"], list) else told["dimensions"]["safe"]
            assert list(variable.dims) == dims, name
            assert variable.dtype == np.dtype(told["attributes"]["dtype"]), name
            assert variable.attrs.get("units") == told["attributes"].get("units"), name
            scaling = told.get("mask_and_scale") or {}
            for theirs, ours in {
                "scale_factor": "scale_factor",
                "add_offset": "add_offset",
                "fill_value": "_FillValue",
            }.items():
                assert variable.attrs.get(ours) == scaling.get(theirs), name
            meanings = told["attributes"].get("flag_meanings")
            if meanings:
                assert variable.attrs["flag_meanings"].split() == meanings.split(), name
                assert list(variable.attrs["flag_values"]) == list(range(len(meanings.split()))), name


def test_the_manifest_has_no_element_that_esa_has_not(folder: Path) -> None:
    real = next(REFERENCE.glob("sentinel3-altimetry/*.SEN3/xfdumanifest.xml"), None)
    if real is None:
        pytest.skip("The real Sentinel-3 manifests of ../shared/data are not here.")

    def paths(element: ET.Element, above: str = "") -> set[str]:
        here = f"{above}/{element.tag}"
        return {here}.union(*(paths(child, here) for child in element))

    assert paths(ET.parse(folder / "xfdumanifest.xml").getroot()) <= paths(ET.parse(real).getroot())


def test_the_same_product_has_the_same_bytes(path: Path, tmp_path: Path) -> None:
    time.sleep(1.1)  # HDF5 can store the second of its making
    again = tmp_path / "again.zip"
    sen3.write(products.products()[0], again)
    assert again.read_bytes() == path.read_bytes()
