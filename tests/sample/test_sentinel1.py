"""The sample's Sentinel-1 product against GDAL, ESA's own files and the truth it was made from."""

from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ET
import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from geodes_lab.sample import truth
from geodes_lab.sample.sentinel1 import grd, safe
from tests.support.paths import SHARED

PRODUCT = grd.products()[0]
POLARISATIONS = ("VV", "VH")
REFERENCE = SHARED / "sentinel1-safe"
LIGHT = 299_792_458.0


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sentinel1") / f"{PRODUCT.name}.zip"
    safe.write(PRODUCT, path)
    return path


@pytest.fixture(scope="module")
def folder(path: Path) -> Path:
    zipfile.ZipFile(path).extractall(path.parent)
    return path.parent / f"{PRODUCT.name}.SAFE"


def document(folder: Path, pattern: str, polarisation: str = "VV") -> ET.Element:
    (found,) = folder.glob(pattern.format(polarisation.lower()))
    return ET.parse(found).getroot()


def annotation(folder: Path, polarisation: str = "VV") -> ET.Element:
    return document(folder, "annotation/s1a-iw-grd-{}-*.xml", polarisation)


def digital_numbers(path: Path, polarisation: str) -> np.ndarray:
    (member,) = [n for n in zipfile.ZipFile(path).namelist() if re.search(f"-{polarisation.lower()}-.*tiff$", n)]
    with rasterio.open(f"/vsizip/{path}/{member}") as file:
        return file.read(1)


def values(element: ET.Element, tag: str) -> np.ndarray:
    found = element.find(tag)
    numbers = np.array([float(v) for v in found.text.split()])
    assert int(found.get("count")) == numbers.size
    return numbers


def bilinear(vectors: list[ET.Element], tag: str) -> np.ndarray:
    """A table of the product on every pixel: along the samples, then along the lines."""
    lines = [int(v.findtext("line")) for v in vectors]
    every = np.arange(grd.SAMPLES)
    rows = np.array([np.interp(every, values(v, "pixel"), values(v, tag)) for v in vectors])
    image = np.empty((grd.LINES, grd.SAMPLES))
    for line in range(grd.LINES):
        after = min(max(int(np.searchsorted(lines, line)), 1), len(lines) - 1)
        weight = (line - lines[after - 1]) / (lines[after] - lines[after - 1])
        image[line] = (1 - weight) * rows[after - 1] + weight * rows[after]
    return image


def noise(root: ET.Element) -> np.ndarray:
    power = bilinear(list(root.iter("noiseRangeVector")), "noiseRangeLut")
    for vector in root.iter("noiseAzimuthVector"):
        names = ("firstAzimuthLine", "lastAzimuthLine", "firstRangeSample", "lastRangeSample")
        top, bottom, left, right = (int(vector.findtext(n)) for n in names)
        factor = np.interp(np.arange(top, bottom + 1), values(vector, "line"), values(vector, "noiseAzimuthLut"))
        power[top : bottom + 1, left : right + 1] *= factor[:, None]
    return power


def grid(root: ET.Element) -> dict[str, np.ndarray]:
    points = list(root.iter("geolocationGridPoint"))
    numbers = {e.tag: np.array([float(p.findtext(e.tag)) for p in points]) for e in points[0] if e.tag != "azimuthTime"}
    times = [datetime.fromisoformat(p.findtext("azimuthTime")) for p in points]
    first = datetime.fromisoformat(root.findtext(".//productFirstLineUtcTime"))
    return numbers | {"seconds": np.array([(t - first).total_seconds() for t in times])}


def test_the_zip_holds_what_the_manifest_says_and_nothing_else(path: Path) -> None:
    archive = zipfile.ZipFile(path)
    assert archive.testzip() is None
    assert {i.compress_type for i in archive.infolist()} == {zipfile.ZIP_STORED}
    manifest = ET.fromstring(archive.read(f"{PRODUCT.name}.SAFE/manifest.safe"))
    told = set()
    for entry in manifest.iter("dataObject"):
        name = f"{PRODUCT.name}.SAFE/{entry.find('.//fileLocation').get('href').removeprefix('./')}"
        data = archive.read(name)
        assert hashlib.md5(data).hexdigest() == entry.findtext(".//checksum")
        assert int(entry.find("byteStream").get("size")) == len(data)
        told.add(name)
    assert told | {f"{PRODUCT.name}.SAFE/manifest.safe"} == set(archive.namelist())
    identities = {e.get("ID") for e in manifest.iter() if e.get("ID")}
    pointed = {e.get("dataObjectID") for e in manifest.iter("dataObjectPointer")}
    assert pointed | set(" ".join(e.get("dmdID") or "" for e in manifest.iter()).split()) <= identities


def test_the_name_tells_the_times_of_the_first_and_last_line(folder: Path) -> None:
    assert re.fullmatch(r"S1A_IW_GRDH_1SDV_\d{8}T\d{6}_\d{8}T\d{6}_\d{6}_[0-9A-F]{6}_[0-9A-F]{4}", PRODUCT.name)
    root = annotation(folder)
    first, last = (root.findtext(f".//product{n}LineUtcTime") for n in ("First", "Last"))
    for text, told in ((first, PRODUCT.name.split("_")[4]), (last, PRODUCT.name.split("_")[5])):
        assert datetime.fromisoformat(text).strftime("%Y%m%dT%H%M%S") == told
    assert [e.findtext("missionDataTakeId") for e in root.iter("adsHeader")] == [
        str(int(PRODUCT.name.split("_")[7], 16))
    ]


@pytest.mark.parametrize("polarisation", POLARISATIONS)
def test_the_image_has_ground_control_points_of_the_grid_and_no_grid_of_its_own(path, folder, polarisation) -> None:
    (member,) = [n for n in zipfile.ZipFile(path).namelist() if re.search(f"-{polarisation.lower()}-.*tiff$", n)]
    with rasterio.open(f"/vsizip/{path}/{member}") as file:
        assert file.dtypes == ("uint16",)
        assert file.shape == (grd.LINES, grd.SAMPLES)
        assert file.compression is None
        assert file.crs is None
        assert file.transform.is_identity
        points, crs = file.gcps
        assert file.read(1).min() > 0
    assert crs.to_epsg() == 4326
    told = grid(annotation(folder, polarisation))
    assert len(points) == 210
    for name, attribute in {"line": "row", "pixel": "col", "longitude": "x", "latitude": "y", "height": "z"}.items():
        np.testing.assert_allclose([getattr(p, attribute) for p in points], told[name], rtol=0, atol=1e-9)


def test_gdal_opens_the_product_and_finds_both_polarisations(folder: Path) -> None:
    with rasterio.Env() as env:
        if "SAFE" not in env.drivers():
            pytest.skip("The GDAL of this rasterio has no SAFE driver.")
    manifest = folder / "manifest.safe"
    with rasterio.open(manifest) as file:
        assert file.driver == "SAFE"
        assert file.shape == (grd.LINES, grd.SAMPLES)
        assert {file.tags(n)["POLARIZATION"] for n in file.indexes} == set(POLARISATIONS)
        assert len(file.gcps[0]) == 210
        tags = file.tags()
    assert (tags["ORBIT_DIRECTION"], tags["MISSION_ID"]) == ("DESCENDING", "S1A")
    assert int(tags["ORBIT_NUMBER"]) == PRODUCT.orbit
    for polarisation in POLARISATIONS:
        numbers = grd.numbers(PRODUCT, polarisation)
        with rasterio.open(f"SENTINEL1_CALIB:UNCALIB:{manifest}:IW_{polarisation}:AMPLITUDE") as file:
            np.testing.assert_array_equal(file.read(1), numbers)


@pytest.mark.parametrize("polarisation", POLARISATIONS)
def test_calibrated_with_its_own_tables_the_image_says_the_truth(path, folder, polarisation) -> None:
    numbers = digital_numbers(path, polarisation).astype(float)
    tables = document(folder, "annotation/calibration/calibration-*-{}-*.xml", polarisation)
    gain = bilinear(list(tables.iter("calibrationVector")), "sigmaNought")
    power = noise(document(folder, "annotation/calibration/noise-*-{}-*.xml", polarisation))
    measured = (numbers**2 - power) / gain**2
    # Half a digital number, which is all that rounding takes, and the six decimals of the tables.
    allowed = (numbers + 0.25 + 1e-6 * numbers**2) / gain**2
    wrong = np.abs(measured - grd.sigma0(PRODUCT, polarisation)) > allowed
    assert not wrong.any()


@pytest.mark.parametrize("polarisation", POLARISATIONS)
def test_each_class_of_the_ground_lies_where_the_grid_says_and_scatters_as_written_down(folder, polarisation) -> None:
    told = grid(annotation(folder, polarisation))
    x, y = transform("EPSG:4326", f"EPSG:{truth.EPSG}", told["longitude"], told["latitude"])
    corners = np.stack([np.ones(210), told["line"], told["pixel"]], axis=1)
    (affine, residual, _, _) = np.linalg.lstsq(corners, np.stack([x, y], axis=1), rcond=None)
    assert (residual < 1e-3).all()  # a rotated square grid, to millimetres
    np.testing.assert_allclose(np.linalg.norm(affine[1:], axis=1), 10, atol=1e-5)
    assert affine[1][1] < affine[1][0] < 0  # lines run south, and a little west
    assert affine[2][0] < 0 < affine[2][1]  # range runs west, and a little north
    line, sample = np.mgrid[0 : grd.LINES, 0 : grd.SAMPLES]
    place = affine[0] + line[..., None] * affine[1] + sample[..., None] * affine[2]
    column, row = np.floor((place - [truth.WEST, truth.NORTH]) / [10, -10]).astype(int).transpose(2, 0, 1)
    assert min(column.min(), row.min()) >= 0
    assert column.max() < truth.COLS
    assert row.max() < truth.ROWS
    classes = truth.land_cover()[row, column]
    backscatter = grd.sigma0(PRODUCT, polarisation)
    for kind, decibels in grd.SIGMA0[polarisation].items():
        here = backscatter[classes == kind]
        assert here.size > 1000
        assert 10 * np.log10(here.mean()) == pytest.approx(decibels, abs=0.15)
        assert here.mean() ** 2 / here.var() == pytest.approx(grd.LOOKS, rel=0.15)


def test_orbit_times_and_ranges_agree_with_the_grid(folder: Path) -> None:
    root = annotation(folder)
    first = datetime.fromisoformat(root.findtext(".//productFirstLineUtcTime"))
    states = list(root.iter("orbit"))
    assert len(states) == 16
    when = np.array([(datetime.fromisoformat(s.findtext("time")) - first).total_seconds() for s in states])
    places = np.array([[float(s.findtext(f"position/{c}")) for c in "xyz"] for s in states])
    speeds = np.array([[float(s.findtext(f"velocity/{c}")) for c in "xyz"] for s in states])
    assert np.linalg.norm(speeds, axis=1) == pytest.approx(7500, rel=0.02)
    place = np.polynomial.Polynomial.fit
    path = [place(when, axis, 7) for axis in places.T]
    assert np.allclose([p.deriv()(when) for p in path], speeds.T, atol=0.01)
    told = grid(root)
    targets = transform("EPSG:4979", "EPSG:4978", told["longitude"], told["latitude"], told["height"])
    seconds = np.zeros(210)
    for _ in range(10):  # Newton's method on the zero-Doppler plane
        ray = np.array(targets) - [p(seconds) for p in path]
        speed = np.array([p.deriv()(seconds) for p in path])
        bend = np.array([p.deriv(2)(seconds) for p in path])
        seconds -= (ray * speed).sum(0) / ((ray * bend).sum(0) - (speed**2).sum(0))
    np.testing.assert_allclose(seconds, told["seconds"], rtol=0, atol=1.5e-3)  # one line
    reach = np.linalg.norm(np.array(targets) - [p(seconds) for p in path], axis=0)
    np.testing.assert_allclose(reach, told["slantRangeTime"] * LIGHT / 2, rtol=0, atol=5)
    heading = np.radians(float(root.findtext(".//platformHeading")) + 360)
    x, y = transform("EPSG:4326", "+proj=aeqd +lon_0=1.82 +lat_0=43.58", told["longitude"], told["latitude"])
    assert np.arctan2(x[-1] - x[20], y[-1] - y[20]) % (2 * np.pi) == pytest.approx(heading, abs=1e-3)
    assert 29 < told["incidenceAngle"].min() < told["incidenceAngle"].max() < 46


def test_polynomials_between_slant_and_ground_range_agree_with_the_grid(folder: Path) -> None:
    root = annotation(folder)
    told, conversion = grid(root), next(root.iter("coordinateConversionList"))[0]
    slant = np.polynomial.Polynomial(values(conversion, "grsrCoefficients"))
    flat = np.polynomial.Polynomial(values(conversion, "srgrCoefficients"))
    across = told["pixel"] * float(root.findtext(".//rangePixelSpacing"))
    np.testing.assert_allclose(slant(across), told["slantRangeTime"] * LIGHT / 2, rtol=0, atol=1e-3)
    back = flat(told["slantRangeTime"] * LIGHT / 2 - float(conversion.findtext("sr0")))
    np.testing.assert_allclose(back, across, rtol=0, atol=1e-2)


def test_tables_of_the_other_radiometries_follow_from_the_incidence_angle(folder: Path) -> None:
    told = grid(annotation(folder))
    pixel, angle = told["pixel"][:21], np.radians(told["incidenceAngle"][:21])
    vector = next(document(folder, "annotation/calibration/calibration-*-{}-*.xml").iter("calibrationVector"))
    tables = {tag: np.interp(pixel, values(vector, "pixel"), values(vector, tag)) for tag in ("sigmaNought", "gamma")}
    beta = values(vector, "betaNought")[0]
    np.testing.assert_allclose((beta / tables["sigmaNought"]) ** 2, np.sin(angle), rtol=1e-5)
    np.testing.assert_allclose((beta / tables["gamma"]) ** 2, np.tan(angle), rtol=1e-5)


# Lists that the sample leaves empty, as it models none of it.
UNMODELLED = {
    *("qualityData", "downlinkInformation", "attitude", "rawDataAnalysis", "replicaInformation", "noise"),
    *("azimuthFmRate", "swathProcParams", "inputDimensions", "dcEstimate", "antennaPattern"),
}


def outline(root: ET.Element) -> dict[str, list[str]]:
    """The children of each element by its path, in their order, each once."""
    found: dict[str, list[str]] = {}

    def walk(element: ET.Element, path: str) -> None:
        children = found.setdefault(path, [])
        for child in element:
            if child.tag in UNMODELLED and path.endswith("List"):
                continue
            if child.tag not in children:
                children.append(child.tag)
            walk(child, f"{path}/{child.tag}")

    walk(root, root.tag)
    return found


def shape(text: str) -> str:
    """How a number or a time is written: digits as 0, without signs, a whole number as one 0."""
    return re.sub(r"[+-](?=0)|^-", "", re.sub(r"\d", "0", re.sub(r"^-?\d+$", "0", text.split()[0])))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("annotation/s1a-iw-grd-vv-*.xml", "S1B_IW_GRDH*.SAFE/annotation/*-vv-*.xml"),
        ("annotation/s1a-iw-grd-vh-*.xml", "S1B_IW_GRDH*.SAFE/annotation/*-vh-*.xml"),
        (
            "annotation/calibration/calibration-*-vv-*.xml",
            "S1B_IW_SLC*.SAFE/annotation/calibration/cal*-iw1-*-vv-*.xml",
        ),
        ("annotation/calibration/noise-*-vv-*.xml", "S1B_IW_SLC*.SAFE/annotation/calibration/noise*-iw1-*-vv-*.xml"),
    ],
)
def test_elements_their_order_and_their_numbers_are_those_of_esa(folder: Path, ours: str, theirs: str) -> None:
    if not REFERENCE.is_dir():
        pytest.skip("The real Sentinel-1 metadata of ../shared/data is not here.")
    (mine,), (real,) = folder.glob(ours), REFERENCE.glob(theirs)
    made, esa = ET.parse(mine).getroot(), ET.parse(real).getroot()
    assert outline(made) == outline(esa)
    for path in outline(made):
        place = path.partition("/")[2] or "."
        text = made.findtext(place, "").strip()
        if re.match(r"-?\d", text):
            assert shape(text) == shape(esa.findtext(place)), path


def test_the_manifest_has_no_element_that_esa_has_not(folder: Path) -> None:
    if not REFERENCE.is_dir():
        pytest.skip("The real Sentinel-1 metadata of ../shared/data is not here.")
    (real,) = REFERENCE.glob("S1B_IW_GRDH*.SAFE/manifest.safe")
    made, esa = (outline(ET.parse(p).getroot()) for p in (folder / "manifest.safe", real))
    assert set(made) <= set(esa)
    assert set(esa) - set(made) <= {p for p in esa if "processing" in p or "metadataReference" in p}


@pytest.mark.slow  # writes a product twice
def test_the_same_product_has_the_same_bytes(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    for cached in (grd.gains, truth.land_cover):
        cached.cache_clear()
    safe.write(grd.products()[0], again)
    assert again.read_bytes() == path.read_bytes()


def test_the_footprint_is_that_of_the_image(folder: Path) -> None:
    told = grid(annotation(folder))
    ring = np.array(PRODUCT.footprint)
    assert (ring[0] == ring[-1]).all()
    for lon, lat in ring[:-1]:
        assert np.hypot(told["longitude"] - lon, told["latitude"] - lat).min() < 1e-9
    corners = ET.parse(folder / "manifest.safe").getroot().findtext(".//{http://www.opengis.net/gml}coordinates")
    lats, lons = np.array([c.split(",") for c in corners.split()], float).T
    np.testing.assert_allclose(np.stack([lons, lats], 1), ring[:-1], atol=1e-6)
