"""Sentinel-1 GRD of ESA's older processors: noise in other units before IPF 2.5, a border of low numbers before IPF 2.9."""

from __future__ import annotations

import re
from pathlib import Path

import dask
import numpy as np
import pytest
from odc.geo.geobox import GeoBox

import geodes_lab as gl
from geodes_lab.archive.archive import Archive
from geodes_lab.products.sentinel1 import border as sentinel1_border
from geodes_lab.products.sentinel1 import calibration, ipf_history
from geodes_lab.sample.sentinel1 import grd as generator
from geodes_lab.sample.sentinel1 import safe

# Of ESA's note on the border (MPC-0243), as pyroSAR has them.
K = {"IW": 75088.7, "EW": 56065.87}


@pytest.fixture
def radar(sample) -> Path:
    return min((sample / "datalake" / "sentinel1-grd").rglob("*.zip"))


@pytest.fixture
def made() -> generator.Product:
    return generator.products()[0]


def older(version: str, divisor: float = 1.0, mode: str = "IW"):
    """What makes a product of the sample one of an older processor."""

    def change(name: str, data: bytes) -> bytes:
        if name.endswith("manifest.safe"):
            return data.replace(b"003.31", version.encode())
        if "/annotation/s1" in name:
            return data.replace(b"<mode>IW</mode>", f"<mode>{mode}</mode>".encode())
        if "/noise-" not in name:
            return data
        data = re.sub(rb"<noiseAzimuthVectorList.*</noiseAzimuthVectorList>", b"", data, flags=re.DOTALL)
        data = data.replace(b"noiseRangeVector", b"noiseVector").replace(b"noiseRangeLut", b"noiseLut")
        return re.sub(
            rb"(<noiseLut[^>]*>)([^<]+)<",
            lambda m: m[1] + " ".join(repr(float(v) / divisor) for v in m[2].split()).encode() + b"<",
            data,
        )

    return change


def denoised(made: generator.Product) -> np.ndarray:
    """Sigma nought less the noise of the range vectors alone, by the generator's own tables."""
    lines = np.arange(generator.LINES)
    rows = [np.interp(np.arange(1000), generator.KNOTS, generator.noise_range("VV", n)) for n in generator.NOISY]
    power = np.stack([np.interp(lines, list(generator.NOISY), column) for column in np.transpose(rows)], axis=1)
    gain = np.interp(np.arange(1000), generator.KNOTS, generator.gains()["sigmaNought"])
    return np.maximum(generator.numbers(made, "VV").astype(float) ** 2 - power, 0) / gain**2


def dn() -> float:
    return float(generator.gains()["dn"][0])


@pytest.mark.parametrize(
    ("version", "mode", "power"),
    [
        ("002.10", "IW", 1),
        ("002.33", "EW", 1),
        ("002.34", "IW", 2),
        ("002.43", "IW", 2),
        ("002.43", "EW", 2),
        ("002.36", "IW", 1),  # what the notes do not say of this version, but the level of the noise shows
        ("002.36", "IW", 0),  # as of one that was processed anew
        ("", "IW", 2),
    ],
)
def test_noise_before_ipf_2_5_is_scaled(altered, radar, made, version, mode, power):
    divisor = K[mode] * dn() ** power if power else 1.0
    path = altered(older(version, divisor, mode), radar)
    tree = gl.open_product(path)
    found = tree["vv"].sigma0_denoised.compute(scheduler="sync").values
    want = denoised(made)
    here = np.isfinite(found)
    assert here.mean() > 0.95
    np.testing.assert_allclose(found[here], want[here], rtol=1e-4, atol=1e-6)
    if version and power:
        words = f"the noise is multiplied by {divisor:.4g} (k · dn), as before 2.5"
        assert f"IPF {version}: {words}" in tree["vv"].sigma0_denoised.attrs["radiometry"]
        cube = gl.open_cube([path], bands=["sigma0_vv_denoised", "sigma0_vv", "incidence"])
        assert words in cube.sigma0_vv_denoised.attrs["radiometry"]
        assert "multiplied" not in cube.sigma0_vv.attrs["radiometry"]
        assert "radiometry" not in cube.incidence.attrs


@pytest.mark.parametrize(("version", "mode", "divisor"), [("002.43", "IW", 1e4), ("002.43", "SM", 1e10)])
def test_noise_in_units_that_nobody_knows_is_refused(altered, radar, version, mode, divisor):
    tree = gl.open_product(altered(older(version, divisor, mode), radar))
    with pytest.raises(gl.GeodesError, match=rf"noise-s1a.* has unknown units .*IPF {float(version)}, mode {mode}"):
        tree["vv"].sigma0_denoised.compute(scheduler="sync")
    plain = tree["vv"].sigma0
    assert "the border is not masked, since the product says no noise that is understood" in plain.attrs["radiometry"]
    assert np.isfinite(plain.compute(scheduler="sync")).all()


def test_versions_compare_as_numbers():
    assert [ipf_history.version_of(v) for v in ("002.36", "003.31", "2.5", "", "IPF")] == [
        2.36,
        3.31,
        2.5,
        None,
        None,
    ]


def test_real_noise_of_a_new_processor_is_left_as_it_is(shared):
    archive = Archive(str(next((shared / "s1-grd-rome").glob("*.SAFE"))))
    tables = calibration.read(archive, next(n for n in archive.names if "/calibration-s1b-iw-grd-vv" in n))
    noise = calibration.noise(archive, next(n for n in archive.names if "/noise-s1b-iw-grd-vv" in n))
    for version in (3.4, 2.5, None):
        assert calibration.scaled(noise, tables, "IW", version, "x").scale == 1


LEFT, RIGHT, TOP, BOTTOM = 37, 21, 23, 45


def bordered(numbers: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Numbers with a border as of 2015: low, not 0, ragged; of one beam it begins later. And where it is."""
    rng = np.random.default_rng(seed)
    lines, samples = numbers.shape
    line, sample = np.mgrid[:lines, :samples]
    ragged = rng.integers(0, 9, lines)[:, np.newaxis]
    top = np.where(np.arange(samples) < samples // 3, TOP + 60, TOP)
    border = (sample < LEFT + ragged) | (sample >= samples - RIGHT - ragged) | (line < top) | (line >= lines - BOTTOM)
    return np.where(border, rng.integers(0, 12, numbers.shape), numbers).astype(np.uint16), border


def written(folder: Path, product: generator.Product, monkeypatch, change) -> Path:
    numbers = generator.numbers
    monkeypatch.setattr(safe, "numbers", lambda p, pol: change(numbers(p, pol)))
    path = folder / "as-written" / f"{product.name}.zip"
    path.parent.mkdir()
    safe.write(product, path)
    return path


@pytest.mark.parametrize(
    "version", ["002.36", *(pytest.param(v, marks=pytest.mark.slow) for v in ("002.84", "002.90")), "003.31"]
)
@pytest.mark.thorough
def test_border_before_ipf_2_9_is_masked(tmp_path, monkeypatch, made, altered, version):
    path = written(tmp_path, made, monkeypatch, lambda n: bordered(n)[0])
    numbers, border = bordered(generator.numbers(made, "VV"))
    path = altered(older(version), path)
    node = gl.open_product(path)["vv"]
    np.testing.assert_array_equal(node.dn.compute(scheduler="sync"), numbers, err_msg="as they are in the file")
    for name in ("sigma0", "gamma0_denoised", "beta0"):
        found = np.isnan(node[name].compute(scheduler="sync").values)
        if version < "002.90":
            assert found[border].all()
            assert found[~border].mean() < 0.001, "a dark pixel beside it"
            assert "the border below the noise is masked, as before 2.9" in node[name].attrs["radiometry"]
        else:
            np.testing.assert_array_equal(found, numbers == 0)
            assert "radiometry" not in node[name].attrs
    assert np.isfinite(node.incidence_angle.compute(scheduler="sync")).all()
    # The same in a cube, whatever its chunks.
    grid = GeoBox.from_bbox((402_000, 4_821_000, 408_000, 4_829_000), "EPSG:32631", resolution=20)
    cubes = [gl.open_cube([path], bands=["vv", "vh"], geobox=grid, chunks=c) for c in (64, 2048)]
    with dask.config.set(scheduler="sync"):
        one, other = (c.isel(time=0).compute() for c in cubes)
    np.testing.assert_array_equal(one.vv, other.vv)
    assert np.isnan(one.vv).sum() > 0
    if version < "002.90":
        assert float(one.vv.min()) > 1e-3, "nothing of the border is left"
        assert (np.isnan(one.vv) != np.isnan(one.vh)).mean() < 0.01
    else:
        assert float(one.vv.min()) < 1e-3


@pytest.mark.parametrize("looks", [4.4, 10])
@pytest.mark.parametrize("level", [1.0, 0.7])
def test_a_calm_sea_at_the_edge_is_no_border(looks, level):
    """Nothing but noise, a decibel and a half lower than the table says: still some of it is above the table."""
    rng = np.random.default_rng(1)
    shape = (900, 4000)
    above = rng.gamma(looks, level / looks, shape) > 1
    border = np.zeros(shape, bool)
    border[:, :400] = border[:31] = True
    above &= ~border

    def measured(rows, cols):
        return above[slice(*rows), slice(*cols)]

    inside = sentinel1_border.inside(measured, shape)
    masked = sentinel1_border.mask(measured, inside, (0, 900), (0, 4000), shape)
    assert masked[border].all()
    wrong = masked & ~border
    assert wrong[200:700].sum(1).mean() < 2 * 50, "of each side some pixels"
    assert wrong[:, 800:-400].sum(0).mean() < 2 * 50, "and some lines"
    assert not wrong[231:700, 700:-300].any()


def test_where_no_end_is_found_nothing_is_masked():
    shape = (900, 4000)

    def measured(rows, cols):
        return np.zeros((rows[1] - rows[0], cols[1] - cols[0]), bool)

    inside = sentinel1_border.inside(measured, shape)
    assert not sentinel1_border.mask(measured, inside, (0, 900), (0, 4000), shape).any()


def test_lines_are_read_no_more_than_it_takes():
    shape, seen = (16_000, 500), []

    def measured(rows, cols):
        seen.append(rows)
        return np.ones((rows[1] - rows[0], cols[1] - cols[0]), bool)

    sentinel1_border.inside(measured, shape)
    assert sum(b - a for a, b in seen) < 300
    assert sentinel1_border.inside(measured, (40, 30)).last.tolist() == [40] * 30
