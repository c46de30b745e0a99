"""The networks against their authors' test cases and against the published tables, computed here in another way."""

from __future__ import annotations

import csv
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import geodes_lab as gl
from geodes_lab.errors import GeodesError
from geodes_lab.sample import theia, theia_files
from geodes_lab.sample.sentinel2 import xml as sentinel2_xml
from geodes_lab.science.canopy import network as networks
from geodes_lab.science.canopy.biophysical import VARIABLES
from geodes_lab.science.canopy.network import ANGLES, BANDS, NAMES
from tests.support.examples import examples

FOLDERS = {"lai": "LAI", "fapar": "FAPAR", "fcover": "FCOVER", "ccc": "LAI_Cab", "cwc": "LAI_Cw"}
SOIL = np.array([0.11, 0.15, 0.18, 0.20, 0.22, 0.25, 0.33, 0.29])
LEAVES = np.array([0.06, 0.03, 0.09, 0.33, 0.42, 0.46, 0.20, 0.09])


def table(shared: Path, variable: str, what: str) -> np.ndarray:
    folder = FOLDERS[variable]
    return np.loadtxt(shared / "s2-biophysical" / "2_1" / folder / f"{folder}_{what}", delimiter=",", ndmin=2)


def published(shared: Path, name: str, variable: str, x: np.ndarray) -> np.ndarray:
    """The network's own number for inputs (n, 11), straight from the published tables."""
    if name == "sl2p-2.1":
        low, high = table(shared, variable, "Normalisation").T
        hidden = np.tanh(
            (2 * (x - low) / (high - low) - 1) @ table(shared, variable, "Weights_Layer1_Neurons").T
            + table(shared, variable, "Weights_Layer1_Bias")
        )
        y = hidden @ table(shared, variable, "Weights_Layer2_Neurons")[0]
        y = y + table(shared, variable, "Weights_Layer2_Bias")[0, 0]
        least, most = table(shared, variable, "Denormalisation")[0]
        return 0.5 * (y + 1) * (most - least) + least
    with (shared / "s2-biophysical" / "sl2p-ccrs" / "s2_sl2P_weiss_or_prosail_NNT1_Single_0_1.csv").open() as file:
        row = [float(v) for v in list(csv.reader(file))[1 + VARIABLES.index(variable)]]
    parts, at = [], 5
    while at < len(row):
        size = int(row[at])
        parts.append(np.array(row[at + 1 : at + 1 + size]))
        at += 1 + size
    scale, offset, weights, bias, out, out_bias, slope, shift = parts
    inputs = x[:, [8, 9, 10, *range(8)]]
    hidden = 2 / (1 + np.exp(-2 * ((inputs * scale + offset) @ weights.reshape(5, 11).T + bias))) - 1
    return (hidden @ out + out_bias - shift) / slope


def is_in_domain(shared: Path, name: str, bands: np.ndarray) -> np.ndarray:
    if name == "sl2p-2.1":
        low, high = table(shared, "lai", "DefinitionDomain_MinMax")
        filled = {tuple(r) for r in table(shared, "lai", "DefinitionDomain_Grid").astype(int)}
        cells = np.floor(10 * (bands - low) / (high - low) + 1).astype(int)
        return np.array([tuple(c) in filled for c in cells])
    codes = np.loadtxt(shared / "s2-biophysical" / "sl2p-ccrs" / "s2_sl2P_weiss_or_prosail_domain.csv", skiprows=1)
    digits = np.ceil(bands * 10).astype(int)
    return np.isin((digits * 10 ** np.arange(8)).sum(axis=1), codes)


@pytest.fixture(scope="module")
def spectra() -> np.ndarray:
    """Mixtures of soil and leaves with noise, some of them far from any canopy: (n, 11), cosines of angles last."""
    rng = np.random.default_rng(3)
    share = rng.uniform(-0.2, 1.4, (6000, 1))
    bands = SOIL * (1 - share) + LEAVES * share + rng.normal(0, 0.03, (6000, 8))
    angles = np.stack([rng.uniform(0.97, 1, 6000), rng.uniform(0.3, 0.95, 6000), rng.uniform(-1, 1, 6000)], axis=1)
    return np.concatenate([bands, angles], axis=1).astype(np.float32)


@pytest.mark.parametrize(("variable", "most"), [("lai", 2.5e-4), ("fapar", 2e-5), ("ccc", 5e-3)])
def test_authors_cases(shared, variable, most):
    cases = table(shared, variable, "TestCases")
    value, flag = networks.network("sl2p-2.1", (variable,))(*cases[:, :11].T, cosines=True)
    known = np.isfinite(cases[:, 11])
    assert known.sum() >= 28
    assert np.abs(value - cases[:, 11])[known].max() < most
    np.testing.assert_array_equal((flag & 1) == 0, is_in_domain(shared, "sl2p-2.1", cases[:, :8]))


@pytest.mark.parametrize("name", NAMES)
def test_numbers_and_flags_are_those_of_the_tables(shared, name, spectra):
    computed = networks.network(name, VARIABLES)(*spectra.T, cosines=True)
    inside = is_in_domain(shared, name, spectra[:, :8].astype(float))
    assert 0.2 < inside.mean() < 0.95
    for variable, value, flag in zip(VARIABLES, computed[:5], computed[5:], strict=True):
        want = published(shared, name, variable, spectra.astype(float))
        tolerance, low, high = np.abs(table(shared, variable, "ExtremeCases")[0])
        if name == "sl2p-ccrs":  # its authors give ranges without a tolerance
            tolerance, high = 0.0, 1.0 if variable == "fapar" else high
        eps = 2e-5 * (high - low)
        np.testing.assert_allclose(value, np.where(flag & 2, low, np.where(flag & 4, high, want)), atol=eps)
        clear = np.abs(want[:, np.newaxis] - [low - tolerance, low, high, high + tolerance]).min(axis=1) > eps
        for bit, there in (
            (1, ~inside), (2, (want < low) & (want > low - tolerance)), (4, (want > high) & (want < high + tolerance)),
            (8, want < low - tolerance), (16, want > high + tolerance),
        ):  # fmt: skip
            np.testing.assert_array_equal((flag[clear] & bit) > 0, there[clear])
        assert ((flag & 64) > 0).any()


@given(st.lists(st.integers(1, 97), min_size=1, max_size=5), st.sampled_from(NAMES), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(12))
def test_chunks_change_nothing_and_no_data_stays(sizes, name, seed):
    rng = np.random.default_rng(seed)
    rows, cols = 13, sum(sizes)
    share = rng.uniform(0, 1, (rows, cols))
    cube = xr.Dataset(
        {
            **{
                b: (("y", "x"), (SOIL[n] * (1 - share) + LEAVES[n] * share).astype(np.float32))
                for n, b in enumerate(BANDS)
            },
            **{a: (("y", "x"), rng.uniform(low, high, (rows, cols))) for a, low, high in zip(
                ANGLES, (0, 20, 0), (12, 70, 180), strict=True)},
        }
    )  # fmt: skip
    holes = rng.random((rows, cols)) < 0.1
    cube["B11"] = cube.B11.where(~holes)
    want = gl.biophysical(cube, ["lai", "fapar"], network=name)
    lazy = gl.biophysical(cube.chunk(y=5, x=tuple(sizes)), ["fapar", "lai"], network=name)
    assert isinstance(lazy.lai.data, da.Array)
    found = lazy.compute(scheduler="sync")
    for variable in want:
        np.testing.assert_array_equal(found[variable], want[variable])
    np.testing.assert_array_equal(np.isnan(want.lai), holes)
    np.testing.assert_array_equal(want.lai_flag == 32, holes)


@pytest.mark.parametrize("name", NAMES)
def test_more_leaves_give_more(name):
    share = np.linspace(0, 1, 200)[:, np.newaxis]
    bands = SOIL * (1 - share) + LEAVES * share
    cube = xr.Dataset({b: ("x", bands[:, n]) for n, b in enumerate(BANDS)})
    # Any spelling of an azimuth is the same direction.
    cube = cube.assign(view_zenith=5.0, sun_zenith=35.0, sun_azimuth=150.0, view_azimuth=290.0 + 720)
    canopy = gl.biophysical(cube, VARIABLES, network=name)
    for variable in VARIABLES:
        assert (np.diff(canopy[variable]) >= -1e-4 * float(canopy[variable].max())).mean() > 0.9, variable
        assert canopy[variable][-1] > canopy[variable][0]
    same = gl.biophysical(cube.drop_vars(["sun_azimuth", "view_azimuth"]).assign(relative_azimuth=140.0), network=name)
    np.testing.assert_allclose(same.lai, canopy.lai, atol=1e-5)
    renamed = cube.rename(B03="green", B04="red", B05="rededge071", B8A="nir08")
    np.testing.assert_array_equal(gl.biophysical(renamed, network=name).lai, canopy.lai)


def test_invalid_values_are_hidden_on_demand():
    cube = xr.Dataset({b: ("x", np.float32([v, 0.6])) for b, v in zip(BANDS, LEAVES, strict=True)})
    cube = cube.assign(view_zenith=5.0, sun_zenith=35.0, relative_azimuth=100.0)
    kept, masked = (gl.biophysical(cube, "lai", invalid=how) for how in ("keep", "mask"))
    assert (kept.lai_flag.values & 1).tolist() == [0, 1]
    assert np.isfinite(kept.lai).all()
    assert np.isnan(masked.lai).values.tolist() == [False, True]
    np.testing.assert_array_equal(kept.lai_flag, masked.lai_flag)
    assert kept.lai_flag.attrs["flag_meanings"].split()[0] == "input_out_of_range"
    assert {"network", "references", "software"} <= set(kept.attrs)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.assign_coords(product="S2A_MSIL1C_20210605T105031_N0300"), "level 1C"),
        (lambda c: c.assign_attrs(processing_level="L1C L2A"), "level L1C L2A"),
        (lambda c: c.drop_vars("B8A"), "no band B8A or nir08"),
        (lambda c: c.drop_vars("sun_zenith"), "no sun_zenith"),
        (lambda c: c.assign(B03=c.B03.astype("uint16")), "not a reflectance"),
        (lambda c: c.assign(sun_zenith=c.sun_zenith.assign_attrs(units="radian")), "in degrees"),
    ],
)
def test_what_is_no_surface_reflectance_is_refused(change, words):
    cube = xr.Dataset({b: ("x", np.float32([0.1])) for b in BANDS} | {a: ("x", [30.0]) for a in ANGLES})
    with pytest.raises(GeodesError, match=words):
        gl.biophysical(change(cube))


@pytest.fixture(scope="module")
def maja(tmp_path_factory) -> tuple[theia.Scene, Path]:
    scene = next(s for s in theia.scenes() if s.cloudiness == 0.2)
    path = tmp_path_factory.mktemp("maja") / f"{scene.name}.zip"
    theia_files.write(scene, path)
    return scene, path


def test_product_of_theia_is_computed_from_its_numbers_and_angles(maja, shared):
    scene, path = maja
    canopy = gl.biophysical(path, VARIABLES, mask=["cloud", "cloud_shadow"]).compute(scheduler="sync")
    inputs = []
    for band in BANDS:
        numbers = scene.numbers("FRE", band.replace("B0", "B")).astype(float)
        if scene.bands[band.replace("B0", "B")][1] == 10:
            numbers = numbers.reshape(96, 2, 96, 2).mean(axis=(1, 3))
        inputs.append(numbers / 10_000)
    row, col = (np.arange(96) + 0.5) * 20 / 5000, (np.arange(96) + 0.5) * 20 / 5000
    row, col = np.meshgrid(row, col, indexing="ij")
    sun = np.radians(np.stack(sentinel2_xml.sun(row, col)))
    seen = scene.detector("B6")
    of_land = [n for n, resolution in scene.bands.values()]
    east, north, up = np.zeros((3, 96, 96))
    for number in of_land:
        both = [np.radians(np.stack(sentinel2_xml.view(number, d, row, col))) for d in sentinel2_xml.DETECTORS]
        zenith, azimuth = np.where(seen == sentinel2_xml.DETECTORS[0], *both)
        east, north, up = (
            east + np.sin(zenith) * np.sin(azimuth), north + np.sin(zenith) * np.cos(azimuth), up + np.cos(zenith)
        )  # fmt: skip
    view = np.arctan2(np.hypot(east, north), up)
    inputs += [np.cos(view), np.cos(sun[0]), np.cos(sun[1] - np.arctan2(east, north))]
    flat = np.stack([i.ravel() for i in inputs], axis=1)
    hidden = np.isnan(canopy.lai.values[0])
    assert 0.02 < hidden.mean() < 0.9
    for variable in VARIABLES:
        want = published(shared, "sl2p-2.1", variable, flat).reshape(96, 96)
        flag = canopy[f"{variable}_flag"].values[0]
        plain = (flag & (2 | 4 | 32)) == 0
        span = np.ptp(canopy[variable].attrs["valid_range"])
        np.testing.assert_allclose(canopy[variable].values[0][plain], want[plain], atol=2e-4 * span)
    assert canopy.lai.attrs["standard_name"] == "leaf_area_index"
    with pytest.raises(GeodesError, match="pixels of 10 m"):
        gl.biophysical(gl.open_cube([path], bands=[*BANDS, *ANGLES]))
