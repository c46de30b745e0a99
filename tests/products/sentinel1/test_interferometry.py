"""Pairs of SLC: geometry held against states by hand, and speckle of a known coherence, delay and deformation."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from pyproj import Transformer

import geodes_lab as gl
from geodes_lab.archive.archive import Archive
from geodes_lab.products.metadata import Document
from geodes_lab.products.sentinel1 import annotation as sentinel1_annotation
from geodes_lab.products.sentinel1.interferometry import burst_map, estimator, kernel, mapped, matching, visibility
from geodes_lab.products.sentinel1.interferometry.offsets import offsets
from geodes_lab.products.sentinel1.interferometry.tops import Band
from geodes_lab.products.terrain import model
from geodes_lab.reading import sensor_window
from geodes_lab.sample.sentinel1 import earthquake, speckle
from tests.products.sentinel1.test_orbit import text
from tests.support.products import insar, rome

BAND = Band(56.5, 64.345, 0.75), Band(327.0, 486.486, 0.7)


@pytest.fixture(scope="module")
def real(shared):
    if not insar.FOLDER.is_dir():
        pytest.skip("the reference data has no s1-insar-pair")
    return [insar.Told(name) for name in insar.PRODUCTS]


@pytest.fixture(scope="module")
def real_pairs(real):
    scenes = [matching.scene(insar.FOLDER / name, None) for name in insar.PRODUCTS]
    return matching.matched(*scenes, polarisation=None, bbox=None, bursts=None, across_satellites=False)


def ecef(lon, lat, height):
    return np.stack(Transformer.from_crs(4979, 4978, always_xy=True).transform(lon, lat, height), axis=-1)


def test_bursts_of_the_real_pair_are_matched_and_have_esas_numbers(real, real_pairs):
    assert [p.identifier for p in real_pairs[:9]] == real[0].identifiers == real[1].identifiers
    assert {p.name.split("_")[1] for p in real_pairs} == {"IW1", "IW2"}
    for pair in real_pairs[:1] + real_pairs[-1:]:
        for swath in (pair.primary, pair.secondary):
            about = swath.described
            hidden = [replace(b, identifier=None) for b in about.bursts]
            told = Document(Archive(swath.place), swath.member)
            assert tuple(burst_map.numbers(hidden, told, about.annotation.swath, swath.track)) == about.identifiers


def test_offsets_and_baseline_of_the_real_pair_are_those_of_states_by_hand(real, real_pairs):
    first, second = real
    for number in (1, 7):
        pair = real_pairs[number]
        grid = pair.primary.described.annotation.grid
        for col in (2, 10, 18):
            lon, lat, height = (float(v[number, col]) for v in (grid.longitude, grid.latitude, grid.height))
            place = ecef(lon, lat, height)
            when, slant = first.abreast(place)
            later, other = second.abreast(place)
            line, line2 = ((t - s.starts[number]) / s.interval for t, s in ((when, first), (later, second)))
            pixel, pixel2 = ((2 * r / insar.LIGHT - s.near) * s.sampling for r, s in ((slant, first), (other, second)))
            # ESA's tie points are where our states by hand see them; their times are 0.1 line before their line's.
            told = float((grid.azimuth_time[number, col] - first.epoch) / np.timedelta64(1, "ns")) * 1e-9
            assert (when - told) / first.interval == pytest.approx(0, abs=2e-3)
            assert pixel == pytest.approx(grid.pixel[col], abs=1e-4)
            at = round(pixel)
            found = offsets(pair, (0, 2), (at - 1, at + 2))
            # The states' velocities and positions agree to some millimetres along the flight.
            assert found.line[0, 1] == pytest.approx(line2 - line, abs=6e-4)
            assert found.pixel[0, 1] - at == pytest.approx(pixel2 - pixel, abs=2e-4)
            assert found.farther[0, 1] == pytest.approx(other - slant, abs=2e-4)
            # The baseline by hand: the part of it that is neither along the line of sight nor along the flight.
            (satellite, velocity), (away, _) = first.at(when), second.at(later)
            flight, sight = velocity / np.linalg.norm(velocity), (place - satellite) / slant
            across = np.cross(sight, flight)
            *_, baseline = mapped.baseline_at(pair, np.array([lon]), np.array([lat]), height)
            assert baseline[0] == pytest.approx((away - satellite) @ across / np.linalg.norm(across), abs=0.01)
            # A metre of height at the same range: by hand, the ray turned about the flight, and by the baseline.
            ray, turn = place - satellite, 1e-4
            turned = satellite + np.cos(turn) * ray + np.sin(turn) * np.cross(flight, ray)
            above = Transformer.from_crs(4978, 4979, always_xy=True).transform(*turned)[2] - height
            rise = (second.abreast(turned)[1] - first.abreast(turned)[1] - (other - slant)) / above
            east, north, up, _ = (
                float(v[0]) for v in mapped.baseline_at(pair, np.array([lon]), np.array([lat]), height)
            )
            assert east**2 + north**2 + up**2 == pytest.approx(1)
            assert rise == pytest.approx(-baseline[0] / slant / np.sqrt(1 - up**2), rel=2e-3, abs=1e-7)


def test_pixels_of_a_map_find_their_burst_in_all_swaths(real, real_pairs, monkeypatch):
    """Beside places by hand in the middle of bursts; the states of the second swath begin later."""
    monkeypatch.setattr(mapped.tiles, "picked", lambda pair, row, col: (row + 1j * col).astype(np.complex64))
    second = next(p.primary for p in real_pairs if p.name.endswith("IW2"))
    orbit = second.described.annotation.orbit
    object.__setattr__(
        second.described.annotation,
        "orbit",
        replace(orbit, time=orbit.time[1:], position=orbit.position[1:], velocity=orbit.velocity[1:]),
    )
    pairs = tuple(replace(p, looks=(20, 4)) for p in real_pairs)
    try:
        for number, told in ((3, real[0]), (12, insar.Told(insar.PRODUCTS[0], "iw2"))):
            lon, lat = speckle.level(
                told.sensor(number % 9), np.array([[750.0] * 2]), np.array([[11_000.0, 11_001]]), 0.0
            )
            x, y = Transformer.from_crs(4326, 32629, always_xy=True).transform(lon[0, 0], lat[0, 0])
            grid = GeoBox.from_bbox((x - 60, y - 60, x + 60, y + 60), "EPSG:32629", resolution=40)
            x, y = (float(grid.coords[v].values[1]) for v in "xy")
            middle = mapped.on_grid(pairs, grid)[1, 1]
            pair = pairs[number]
            # The tie points' height moves the place in the image; by hand it is sought once more.
            height = float(mapped._heights(pairs, grid)[1, 1])
            when, slant = told.abreast(ecef(*Transformer.from_crs(32629, 4326, always_xy=True).transform(x, y), height))
            line = (when - told.starts[pair.first]) / told.interval
            pixel = (2 * slant / insar.LIGHT - told.near) * told.sampling
            assert (middle.real, middle.imag) == (np.floor((line + 0.5) / 4), np.floor((pixel + 0.5) / 20))
    finally:
        object.__setattr__(second.described.annotation, "orbit", orbit)


def test_orbits_are_precise_between_their_states(real_pairs):
    orbit = real_pairs[0].primary.orbit
    # A circle in space, seen from the turning Earth: as smooth as an orbit, and known everywhere.
    since = (orbit.time - orbit.time[0]) / np.timedelta64(1, "s")

    def circle(t):
        angle, turn, r = 1.06e-3 * t, 7.29e-5 * t, 7.07e6
        x, y, z = r * np.cos(angle), r * np.sin(angle) * 0.14, r * np.sin(angle) * 0.99
        return np.stack([x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn), z], -1)

    weights = {0.5: 45 / 30, 1.0: -9 / 30, 1.5: 1 / 30}  # of differences, to the sixth order
    velocity = sum(w * (circle(since + h) - circle(since - h)) for h, w in weights.items())
    made = replace(orbit, position=circle(since), velocity=velocity)
    often = np.linspace(since[0], since[-1], 999)
    assert np.abs(made.path(often) - circle(often)).max() < 3e-6


def test_the_kernel_keeps_samples_of_the_band():
    rng = np.random.default_rng(3)
    burst = speckle.Burst(0.055, (327 / 486.486, 56.5 / 64.345), (0.7, 0.75), lambda a, b: 0 * a * b)
    fine = speckle._noise(rng, slice(0, 120), slice(0, 200), burst)
    coarse = fine[::2, ::2].astype(np.complex64)
    row, col = np.mgrid[20:100, 20:180].astype(float)
    shifted = kernel.resampled(coarse, row + 0.31, col + 0.4 + 1e-4 * row)
    want = speckle._at(fine, [2 * (row + 0.31), 2 * (col + 0.4 + 1e-4 * row)])
    error = np.mean(np.abs(shifted - want) ** 2) / np.mean(np.abs(want) ** 2)
    assert error < 3e-4


def test_moments_of_the_estimator_are_those_of_drawn_looks():
    rng = np.random.default_rng(8)
    for looks in (4, 16):
        for true in (0.0, 0.3, 0.7, 0.95):
            a, b = (rng.standard_normal((2, 40_000, looks)) @ np.eye(looks) for _ in range(2))
            a, b = a[0] + 1j * a[1], b[0] + 1j * b[1]
            b = true * a + np.sqrt(1 - true**2) * b
            drawn = np.abs((a * b.conj()).sum(1)) / np.sqrt((abs(a) ** 2).sum(1) * (abs(b) ** 2).sum(1))
            mean, spread = estimator.moments(true, looks)
            assert drawn.mean() == pytest.approx(float(mean), abs=4 * float(spread) / 200)
            assert drawn.std() == pytest.approx(float(spread), rel=0.03)
            undone = estimator.unbiased(np.array([mean], np.float32), looks)
            assert float(undone[0]) == pytest.approx(true, abs=0.01)


def test_looks_are_those_of_noise_in_the_band():
    rng = np.random.default_rng(4)
    burst = speckle.Burst(0.055, (327 / 486.486, 56.5 / 64.345), (0.7, 0.75), lambda a, b: 0 * a * b)
    power = np.abs(speckle._noise(rng, slice(0, 800), slice(0, 2000), burst)[::2, ::2]) ** 2
    means = power[:800, :2000].reshape(200, 4, 200, 10).mean(axis=(1, 3))
    asked = estimator._independent(BAND[0], 10) * estimator._independent(BAND[1], 4)
    assert 1 / means.var() == pytest.approx(asked, rel=0.05)


STRIPES = (0.1, 0.3, 0.5, 0.7, 0.85, 0.95)
BURSTS = ["110434_IW1", "110435_IW1"]
DELAY = -7.0e-6  # seconds: a three-hundredth of a line


def stripe(x):
    """The number of the stripe of coherence in which an easting is."""
    return (np.floor(np.asarray(x) / 900) % len(STRIPES)).astype(int)


@pytest.fixture(scope="module")
def synthetic(real, tmp_path_factory):
    """Parts of two adjacent bursts of the real annotations, over hills without layover."""
    folder = tmp_path_factory.mktemp("pair")
    to_map = Transformer.from_crs(4326, 32630, always_xy=True)
    upper, (rows, cols) = 3, (slice(1220, 1490), slice(8000, 9600))
    parts = {upper: rows, upper + 1: slice(15, 285)}
    corners = speckle.level(real[0].sensor(upper), np.array([[1350.0] * 2]), np.array([[8000.0, 9600.0]]))
    centre = to_map.transform(*(v.mean() for v in corners))

    def height(lon, lat):
        x, y = to_map.transform(lon, lat)
        return 600 + 250 * np.sin((np.asarray(x) - centre[0]) / 1500) * np.cos((np.asarray(y) - centre[1]) / 2000)

    def moved(lon, lat):
        x, y = to_map.transform(lon, lat)
        far = np.hypot(np.asarray(x) - centre[0], np.asarray(y) - centre[1])
        return 0.03 * np.exp(-((far / 4000) ** 2)) + 1.0e-6 * (np.asarray(x) - centre[0])  # a bowl on a ramp

    ground = speckle.Ground(height, lambda lon, lat: np.array(STRIPES)[stripe(to_map.transform(lon, lat)[0])], moved)
    images: list[dict] = [{}, {}]
    for burst, lines in parts.items():
        about = speckle.Burst(
            real[0].wavelength, (327.0 * real[0].interval, 56.5e6 / real[0].sampling), (0.7, 0.75), real[0].ramp(burst)
        )
        made = speckle.pair(
            np.random.default_rng(burst), (real[0].sensor(burst), real[1].sensor(burst)), about, ground,
            ((lines, cols), (lines, cols)), DELAY,
        )  # fmt: skip
        for image, numbers in zip(images, made, strict=True):
            image[burst] = (lines, cols, numbers)
    grid = GeoBox.from_bbox(
        (centre[0] - 12_000, centre[1] - 12_000, centre[0] + 12_000, centre[1] + 12_000), "EPSG:32630", resolution=30
    )
    x, y = np.meshgrid(grid.coords["x"].values, grid.coords["y"].values)
    lon, lat = Transformer.from_crs(32630, 4326, always_xy=True).transform(x, y)
    dem = rome.relief(folder / "dem.tif", grid, height(lon, lat))
    east, north = (np.ravel(v) for v in corners)
    box = (east.min() - 0.002, north.min() - 0.018, east.max() + 0.002, north.max() + 0.018)
    return insar.written(folder, images), dem, moved, box


@pytest.mark.slow  # it makes and reads bursts of full width
def test_coherence_phase_and_delay_of_synthetic_bursts_are_recovered(synthetic):
    products, dem, moved, box = synthetic
    pair = gl.open_pair(
        *products, dem=dem, dem_heights="ellipsoid", bbox=box, bursts=BURSTS, multilook=(16, 4), crs="EPSG:32630",
        resolution=40, chunks=160,
    )  # fmt: skip
    assert dask.is_dask_collection(pair.phase.data)
    assert pair.attrs["bursts"] == BURSTS
    assert abs(pair.attrs["delay_seconds"] - DELAY) < 4 * pair.attrs["delay_error_seconds"] < 4e-6
    found = pair[["coherence", "phase"]].compute(scheduler="sync")
    x, y = np.meshgrid(found.x, found.y)
    lon, lat = Transformer.from_crs(32630, 4326, always_xy=True).transform(x, y)
    want = moved(lon, lat) / pair.phase.attrs["metres_per_radian"]
    looks = pair.coherence.attrs["effective_looks"]
    # Beside the edge of a stripe, and of the numbers that were written, a cell has something else in it.
    inner = (stripe(x - 120) == stripe(x + 120)) & ~np.isnan(found.coherence.values)
    for side in ((0, 2), (0, -2), (1, 2), (1, -2)):
        inner &= ~np.isnan(np.roll(found.coherence.values, side[1], side[0]))
    for number, true in enumerate(STRIPES):
        here = inner & (stripe(x) == number)
        assert here.sum() > 200
        mean, spread = estimator.moments(true, looks)
        estimate = found.coherence.values[here]
        assert estimate.mean() == pytest.approx(float(mean), abs=4 * float(spread) / np.sqrt(here.sum()) + 0.004)
        off = np.angle(np.exp(1j * (found.phase.values[here] - want[here])))
        if true >= 0.5:
            best = np.sqrt(1 - true**2) / true / np.sqrt(2 * looks)  # Cramér and Rao's bound
            assert off.std() < 1.25 * best + 0.02
            assert abs(off.mean()) < 4 * best / np.sqrt(here.sum()) + 0.02


def test_layover_and_shadow_of_a_ridge_are_where_trigonometry_says(real, real_pairs, tmp_path):
    """A ridge along the flight, in the real geometry of a burst; times and distances are those of states by hand."""
    burst = real_pairs[0]
    annotation = burst.primary.described.annotation
    middle = burst.primary.described.bursts[burst.first].footprint(annotation).centroid
    base = float(np.median(annotation.grid.height))
    x0, y0 = (round(v, -2) for v in Transformer.from_crs(4326, 32629, always_xy=True).transform(middle.x, middle.y))
    back_to_degrees = Transformer.from_crs(32629, 4326, always_xy=True)

    def seen(x, y):
        return real[0].abreast(ecef(*back_to_degrees.transform(x, y), base))

    (when, far), (east, far_east), (north, far_north) = (seen(x0 + a, y0 + b) for a, b in ((0, 0), (500, 0), (0, 500)))
    flight = np.array([east - when, north - when])
    flight /= np.linalg.norm(flight)
    right = np.array([flight[1], -flight[0]])
    sine = float(right @ [(far_east - far) / 500, (far_north - far) / 500])
    assert 0.4 < sine < 0.8
    tangent = sine / np.sqrt(1 - sine**2)

    def across(grid):
        x, y = np.meshgrid(grid.coords["x"].values - x0, grid.coords["y"].values - y0)
        return x * right[0] + y * right[1]

    fine = GeoBox.from_bbox((x0 - 5000, y0 - 5000, x0 + 5000, y0 + 5000), "EPSG:32629", resolution=10)
    width, high = 200.0, 500.0
    ridge = base + np.interp(across(fine), [-width, 0, width], [0, high, 0], left=0, right=0)
    relief = model.of(rome.relief(tmp_path / "ridge.tif", fine, ridge), "ellipsoid")
    grid = GeoBox.from_bbox((x0 - 2000, y0 - 1500, x0 + 2000, y0 + 1500), "EPSG:32629", resolution=20)
    pairs = (replace(burst, relief=relief),)
    found = visibility.mask_on(pairs, grid)
    assert set(np.unique(found)) == {0, 1, 2, 3}
    g = across(grid)
    crest, end = -high / tangent, high * tangent
    hidden, slope = (g > 0) & (g < end), (g > -width) & (g < 0)
    # Level ground before the slope is overlaid from where the image has the crest.
    overlaid = (g > crest) & (g < -width) | slope
    edge = 60  # metres: two points
    clear = np.all([np.abs(g - at) > edge for at in (crest, -width, 0.0, end)], axis=0)
    np.testing.assert_array_equal((found & 1 > 0)[clear], hidden[clear])
    lit = clear & ~hidden
    np.testing.assert_array_equal((found & 2 > 0)[lit], overlaid[lit])
    part = grid[31:90, 47:140]
    np.testing.assert_array_equal(visibility.mask_on(pairs, part), found[31:90, 47:140])


@pytest.fixture(scope="module")
def shaken(sample) -> tuple[list[Path], Path]:
    """The sample's pair, and the terrain model under it."""
    products = sorted((sample / "datalake" / "sentinel1-slc" / "2021" / "10").rglob("*.zip"))
    return products, next((sample / "datalake" / "terrain").glob("*.tif"))


@pytest.fixture(scope="module")
def pair(shaken):
    products, dem = shaken
    return gl.open_pair(*products, dem=dem, multilook=(10, 2), chunks=100)


def test_the_samples_earthquake_is_found(pair):
    assert list(pair) == [
        "coherence", "phase", "interferogram", "los_east", "los_north", "los_up", "perpendicular_baseline",
        "layover_shadow_mask",
    ]  # fmt: skip
    late, error = pair.attrs["delay_seconds"], pair.attrs["delay_error_seconds"]
    assert abs(late - earthquake.LATE) < 4 * error < 0.05 * earthquake.LATE
    found = pair.compute(scheduler="sync")
    x, y = np.meshgrid(found.x, found.y)
    lon, lat = Transformer.from_crs(found.rio.crs.to_epsg(), 4326, always_xy=True).transform(x, y)
    off = found.phase.values - earthquake.moved(lon, lat) / found.phase.attrs["metres_per_radian"]
    off, true = np.angle(np.exp(1j * off)), earthquake.coherence(lon, lat)
    looks = found.coherence.attrs["effective_looks"]
    for level in (earthquake.TREES, earthquake.MEADOW):
        here = np.isfinite(off) & (true == level)
        # The median: a part of the hills is in layover.
        assert np.median(found.coherence.values[here]) == pytest.approx(
            float(estimator.moments(level, looks)[0]), abs=0.03
        )
        assert abs(np.median(off[here])) < 0.02
        best = np.sqrt(1 - level**2) / level / np.sqrt(2 * looks)
        assert np.median(np.abs(off[here])) < 0.6745 * best * 1.5
    np.testing.assert_allclose(np.abs(found.interferogram), found.coherence, rtol=1e-6)
    np.testing.assert_allclose(found.los_east**2 + found.los_north**2 + found.los_up**2, 1, rtol=1e-5)
    across = found.perpendicular_baseline.mean()
    assert float(across) == pytest.approx(pair.attrs["perpendicular_baseline"], rel=0.01)
    assert found.attrs["bursts"] == [f"{earthquake.FIRST_BURST + n}_IW1" for n in range(3)]


def test_numbers_do_not_depend_on_chunks_or_on_what_else_is_asked(shaken, pair):
    products, dem = shaken
    grid = pair.odc.geobox
    late = pair.attrs["delay_seconds"]
    part = gl.open_pair(
        *products, dem=dem, multilook=(10, 2), geobox=grid[60:140, 40:110], refine=late, chunks=31, unbiased=True
    )
    found = part.compute(scheduler="sync")
    whole = pair.isel(y=slice(60, 140), x=slice(40, 110))
    np.testing.assert_array_equal(found.interferogram, whole.interferogram.compute(scheduler="sync"))
    looks = pair.coherence.attrs["effective_looks"]
    np.testing.assert_allclose(
        found.coherence, estimator.unbiased(np.abs(found.interferogram.values), looks), rtol=1e-5
    )
    assert "removed" in found.coherence.attrs["coherence_bias"]
    assert float(found.coherence.mean()) < float(np.abs(found.interferogram).mean())


def test_only_the_lines_of_the_bursts_are_read(on_s3, shaken, monkeypatch):
    items = sorted(gl.search("PEPS_S1_L1", datetime="2021-10-10/2021-11-01", product_type="SLC"), key=lambda i: i.id)
    read, window = [], sensor_window.window
    monkeypatch.setattr(sensor_window, "window", lambda s, rows, cols: read.append(rows) or window(s, rows, cols))
    pair = gl.open_pair(*items, bursts=earthquake.FIRST_BURST + 1, multilook=(10, 2))
    assert not read, "one burst has no overlap"
    assert np.isfinite(pair.coherence.compute(scheduler="sync")).sum() > 1000
    assert min(read)[0] >= earthquake.HEIGHT
    assert max(r[1] for r in read) <= 2 * earthquake.HEIGHT
    assert "not refined" in pair.attrs["delay"]


def changed(path: Path, product: Path, name: str, old: bytes, new: bytes) -> Path:
    """A copy of a product with another name and something else in its documents."""
    made = path / str(len(list(path.iterdir()))) / f"{name}.zip"  # what was read of a path is kept
    made.parent.mkdir()
    with zipfile.ZipFile(product) as before, zipfile.ZipFile(made, "w") as after:
        for member in before.namelist():
            data = before.read(member)
            after.writestr(
                member.replace(product.stem, name), data if member.endswith(".tiff") else re.sub(old, new, data)
            )
    return made


def test_pairs_that_cannot_be_compared_are_refused_in_a_sentence(shaken, tmp_path):
    (first, second), dem = shaken
    with pytest.raises(gl.GeodesError, match="needs two passes"):
        gl.open_pair(first, first)
    other = changed(tmp_path, second, second.stem, b">162<", b">64<")
    with pytest.raises(gl.GeodesError, match=r"on track 162 and .* on track 64"):
        gl.open_pair(first, other)
    number = str(earthquake.FIRST_BURST)[:-2].encode()
    other = changed(tmp_path, second, second.stem, b"<burstId>" + number, b"<burstId>1" + number)
    with pytest.raises(gl.GeodesError, match="has none of the bursts"):
        gl.open_pair(first, other)
    other = changed(tmp_path, second, second.stem, b"<polarisation>VV", b"<polarisation>HH")
    with pytest.raises(gl.GeodesError, match=r"has VV and .* has HH"):
        gl.open_pair(first, other)
    other = changed(tmp_path, second, "S1C" + second.stem[3:], b"S1A", b"S1C")
    with pytest.raises(gl.GeodesError, match=r"of S1A and .* of S1C: .* 1\.4 to 1\.65 rad"):
        gl.open_pair(first, other)
    mixed = gl.open_pair(first, other, across_satellites=True, refine=False)
    assert "1.65 rad" in mixed.attrs["burst_offset"]
    assert mixed.attrs["satellites"] == "S1A and S1C"
    for tag, number, words in (
        (b"azimuthTimeInterval", b"0.0", "impossible samples or lines"),
        (b"rangeSamplingRate", b"1e30", "impossible samples or lines"),
        (b"radarFrequency", b"1", "impossible frequency"),
        (b"latitude", b"1e9", "nowhere on Earth"),
        (b"linesPerBurst", b"7", "3 bursts of 7 lines"),
    ):
        other = changed(tmp_path, second, second.stem, b"<%s>[^<]*<" % tag, b"<%s>%s<" % (tag, number))
        with pytest.raises(gl.GeodesError, match=words):
            gl.open_pair(first, other)
    for arguments, words in (
        ({"polarisation": "VH"}, "is not in both products: they have VV"),
        ({"bbox": (10, 10, 11, 11)}, "No burst of .* is in bbox"),
        ({"bursts": [5]}, "No burst of .* is in bursts"),
        ({"bursts": ["x'); --"]}, "no burst identifier"),
        ({"multilook": (1, 1)}, "no coherence can be estimated"),
        ({"multilook": 20}, "multilook is samples in range and lines"),
        ({"refine": "yes"}, "refine is True, False, or a delay"),
        ({"orbits": first}, "is not an orbit file"),
    ):
        with pytest.raises(gl.GeodesError, match=words):
            gl.open_pair(first, second, dem=dem, **arguments)
    with pytest.raises(gl.GeodesError, match="not a Sentinel-1 IW SLC product"):
        gl.open_pair(next((dem.parents[1] / "sentinel1-grd").rglob("*.zip")), second)


def test_a_series_is_each_pass_with_the_next(shaken, pair, tmp_path):
    (first, second), dem = shaken
    # A third pass that is the second once more: what is equal is coherent.
    later = second.stem.replace("20211028", "20211109")
    third = changed(tmp_path, second, later, b"2021-10-28", b"2021-11-09")
    asked = {"dem": dem, "multilook": (10, 2), "geobox": pair.odc.geobox[60:140, 40:110]}
    series = gl.coherence_series([third, first, second], **asked)
    assert series.coherence.dims == ("time", "y", "x")
    assert dask.is_dask_collection(series.coherence.data)
    assert [str(t)[:10] for t in series.time.values] == ["2021-10-28", "2021-11-09"]
    np.testing.assert_allclose(series.temporal_baseline, 12)
    np.testing.assert_allclose(series.perpendicular_baseline, [pair.attrs["perpendicular_baseline"], 0], atol=1e-3)
    one, other = series.coherence.compute(scheduler="sync")
    alone = gl.open_pair(first, second, refine=False, **asked).coherence.compute(scheduler="sync")
    np.testing.assert_array_equal(one, alone)
    assert float(other.min()) > 0.9999
    assert gl.coherence_series([first, second], **asked, longest=12.5).attrs["left_out"] == []
    with pytest.raises(gl.GeodesError, match="none has a next one within 6 days"):
        gl.coherence_series([first, second], **asked, longest=6)
    twice = changed(tmp_path, second, second.stem[:-1] + "F", b"", b"")
    with pytest.raises(gl.GeodesError, match="are of one pass"):
        gl.coherence_series([first, second, twice], **asked)


def test_precise_orbits_are_used_and_said(shaken, pair, tmp_path):
    (first, second), dem = shaken
    files = []
    for product in (first, second):
        archive = Archive(str(product))
        orbit = sentinel1_annotation.read(archive, next(n for n in archive.names if "annotation/s1a" in n)).orbit
        day = str(orbit.time[8])[:10].replace("-", "")
        path = tmp_path / f"S1A_OPER_AUX_POEORB_OPOD_20220112T121700_V{day}T000000_{day}T235959.EOF"
        # A metre farther to the right of the flight, in the second alone.
        aside = np.cross(orbit.velocity[8], orbit.position[8])
        path.write_text(text(orbit, move=(product == second) * aside / np.linalg.norm(aside)))
        files.append(path)
    moved = gl.open_pair(first, second, dem=dem, orbits=files, multilook=(10, 2), refine=False)
    assert all("precise orbit S1A_OPER_AUX_POEORB" in o for o in moved.attrs["orbits"])
    angle = np.arccos(float(pair.los_up.mean()))
    assert moved.attrs["perpendicular_baseline"] - pair.attrs["perpendicular_baseline"] == pytest.approx(
        np.cos(angle), abs=0.1
    )
