"""Sentinel-3's altimeter: tracks by rate and band, many along time, against h5py, ESA's tables and real products."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from datetime import timedelta
from pathlib import Path

import dask
import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.cube.tracks import newest, within
from geodes_lab.formats.netcdf import dataset
from geodes_lab.products.sentinel3 import product_name
from geodes_lab.products.sentinel3 import tracks as sentinel3_tracks
from geodes_lab.sample.sentinel3 import level2, sen3
from geodes_lab.sample.sentinel3 import products as sentinel3_products
from geodes_lab.storage.traffic import traffic

ALL = sentinel3_products.products()
LEVEL1, LAN_NR, LAN_NT, LAN_NEXT = ALL[0], *ALL[3:6]
LAKE = (1.7, 43.45, 1.95, 43.65)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sral")
    paths = {p.name: folder / f"{p.name}.zip" for p in ALL}
    for product in ALL:
        sen3.write(product, paths[product.name])
    return paths


def write(product: sentinel3_products.Product, folder: Path) -> Path:
    sen3.write(product, folder / f"{product.name}.zip")
    return folder / f"{product.name}.zip"


def changed(path: Path, to: Path, file: str, change) -> Path:
    """A copy in which a NetCDF member is edited with h5py, or replaced by bytes, or left out (None)."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to / path.name, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename.endswith(f"/{file}"):
                if callable(change):
                    buffer = io.BytesIO(data)
                    with h5py.File(buffer, "r+") as opened:
                        change(opened)
                    data = buffer.getvalue()
                else:
                    data = change
            if data is not None:
                new.writestr(info, data)
    return to / path.name


def physical(variable: h5py.Dataset) -> np.ndarray:
    """What a variable says, by the rules of CF alone."""
    raw, attrs = variable[()], variable.attrs
    if "flag_meanings" in attrs:
        return raw
    values = raw * float(np.squeeze(attrs.get("scale_factor", 1))) + float(np.squeeze(attrs.get("add_offset", 0)))
    return np.where(raw == np.squeeze(attrs["_FillValue"]), np.nan, values) if "_FillValue" in attrs else values


# One product ------------------------------------------------------------------------------------------------------------

NODES = [
    (r"(.+)_20_plrm_ku", "plrm"), (r"(.+)_20_ku", "ku"), (r"(.+)_20_c", "c"), (r"(.+)_01(_\w+)?", "hz1"),
    (r"(.+)_l1(?:a|b|bs)_echo_sar_ku", "ku"), (r"(.+)_l1a_echo_plrm", "plrm"),
]  # fmt: skip
COORDINATES = {"time": "time", "lat": "latitude", "lon": "longitude"}


@pytest.mark.parametrize("product", ALL, ids=lambda p: f"{p.kind}-{p.timeliness}-{p.cycle}")
@pytest.mark.thorough
def test_every_number_is_what_the_file_says(written, product):
    tree = gl.open_product(written[product.name])
    archive = zipfile.ZipFile(written[product.name])
    member = next(n for n in archive.namelist() if re.search(r"/(enhanced_)?measurement(_l1a|_l1bs)?\.nc$", n))
    count = 0
    with h5py.File(io.BytesIO(archive.read(member))) as file:
        for name, variable in list(file.items()):  # an iterator would hold HDF5 against the readers
            if name.endswith("_ind"):
                continue
            found, node = next((m, n) for p, n in NODES if (m := re.fullmatch(p, name)))
            short = "".join(filter(None, found.groups()))
            ours = tree[node][COORDINATES.get(short, short)]
            theirs = physical(variable)
            if short == "time":
                theirs = np.datetime64("2000-01-01T00:00:00", "ns") + (theirs * 1e9).astype("timedelta64[ns]")
                assert (abs(ours.values - theirs) < np.timedelta64(1, "us")).all()
            else:
                theirs = (theirs + 180) % 360 - 180 if short == "lon" else theirs
                np.testing.assert_allclose(ours.values, theirs, rtol=1e-6 if ours.dtype == "float32" else 1e-12)
                assert ours.attrs.get("long_name") == variable.attrs["long_name"]
                assert ours.attrs.get("units") == variable.attrs.get("units")
            count += 1
    # Pseudo-LRM has the places and times of the C band.
    shared = 3 if product.kind == "SR_2_LAN" else 0
    assert (
        count
        == sum(len(n.variables) - sum(v.endswith("_ind") for v in n.variables) for n in tree.children.values()) - shared
    )


def test_level1_is_the_ground_that_it_was_made_from(written):
    ku = gl.open_product(written[LEVEL1.name])["ku"]
    np.testing.assert_allclose(
        ku.alt - ku.range_ku, sentinel3_products.surface_height(LEVEL1.seconds), rtol=0, atol=1.01e-4
    )
    lon, lat = sentinel3_products.track(LEVEL1.seconds)
    np.testing.assert_allclose(ku.longitude, lon, rtol=0, atol=0.51e-6)
    np.testing.assert_allclose(ku.latitude, lat, rtol=0, atol=0.51e-6)
    assert ku.latitude.attrs["standard_name"] == "latitude"
    assert set(ku.coords) == {"time", "longitude", "latitude", "echo_sample_ind"}


def test_level2_has_a_node_for_each_rate_and_band(written):
    tree = gl.open_product(written[LAN_NT.name])
    assert list(tree.children) == ["ku", "c", "plrm", "hz1"]
    assert [tree[n].sizes["time"] for n in tree.children] == [400, 398, 398, 20]
    height = tree["ku"].elevation_ocog.values
    assert np.isnan(height[: level2.MISSED]).all()
    here = sentinel3_products.surface_height(LAN_NT.seconds)[level2.MISSED :]
    np.testing.assert_allclose(height[level2.MISSED :], here, rtol=0, atol=0.51e-4)
    flag = tree["ku"].surf_type
    assert flag.dtype == np.int8
    np.testing.assert_array_equal(flag, sentinel3_products.surface_type(LAN_NT.seconds))
    assert flag.attrs["flag_meanings"].split()[1] == "enclosed_sea_or_lake"
    assert {"sig0_water_ku", "sig0_water_c", "solid_earth_tide"} <= set(tree["hz1"].data_vars)
    told = {"measurement": "enhanced_measurement.nc", "cycle": 72, "relative_orbit": 322, "timeliness": "NT"}
    assert told.items() <= tree.attrs.items()
    assert tree.attrs["source"] == str(written[LAN_NT.name])


def test_a_tree_is_saved_as_it_is(written, tmp_path):
    ku = gl.open_product(written[LAN_NT.name])["ku"].to_dataset().load()
    ku.to_netcdf(tmp_path / "ku.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "ku.nc", engine="h5netcdf", mask_and_scale=False) as again:
        np.testing.assert_array_equal(again.surf_type, ku.surf_type)


@pytest.mark.parametrize("missing", ["enhanced_measurement.nc", "standard_measurement.nc"])
def test_the_most_complete_file_that_is_there_is_opened(written, tmp_path, missing):
    path = written[LAN_NT.name]
    tree = gl.open_product(changed(path, tmp_path, missing, None))
    enhanced = missing != "enhanced_measurement.nc"
    assert tree.attrs["measurement"] == ("enhanced" if enhanced else "standard") + "_measurement.nc"
    assert ("waveform" in tree["ku"]) == enhanced


def test_folders_and_compressed_zips_are_the_same(written, tmp_path):
    path = written[LEVEL1.name]
    whole = gl.open_product(path)["ku"].to_dataset().compute()
    zipfile.ZipFile(path).extractall(tmp_path)
    folder = tmp_path / f"{LEVEL1.name}.SEN3"
    xr.testing.assert_equal(gl.open_product(folder)["ku"].to_dataset().compute(), whole)
    shutil.make_archive(str(tmp_path / "renamed"), "zip", tmp_path, folder.name)
    with pytest.warns(UserWarning, match="whole file was extracted"):
        tree = gl.open_product(tmp_path / "renamed.zip")
    assert tree.attrs["title"] == LEVEL1.name
    xr.testing.assert_equal(tree["ku"].to_dataset().compute(), whole)


def test_real_products_have_their_times(shared):
    """Of real products the reference data has the axes."""
    for folder in sorted((shared / "sentinel3-altimetry").glob("*.SEN3")):
        tree = gl.open_product(folder)
        assert list(tree.children) == ["ku", "c", "hz1"]
        for node, end in {"ku": "20_ku", "c": "20_c", "hz1": "01"}.items():
            with h5py.File(folder / "enhanced_measurement.nc") as file:
                seconds = file[f"time_{end}"][()]
            told = pd.Timestamp("2000-01-01") + pd.to_timedelta(seconds, "s")
            assert (abs(tree[node].indexes["time"] - told) < pd.Timedelta("1us")).all()
        cycle, orbit = re.findall(r"_(\d{3})_(\d{3})_", folder.name)[0]
        assert (tree.attrs["cycle"], tree.attrs["relative_orbit"]) == (int(cycle), int(orbit))
        assert tree.attrs["cycle_number"] == int(cycle)
        assert tree.attrs["pass_number"] == 2 * int(orbit)
        assert tree.attrs["processor"].startswith("IPF-SM-2")


@pytest.mark.parametrize("table", ["S03SRAL1A", "S03SRAL1R", "S03ALTL2H", "S03ALTL2L", "S03ALTL2S"])
def test_variables_go_where_esa_puts_them(shared, table):
    """The tables of ESA's own new format sort and name the same variables."""
    told = json.loads((shared / "eopf-structure" / "mapping" / f"{table}.json").read_text())["data_mapping"]
    files: dict[str, dict[str, xr.Variable]] = {}
    expected: dict[tuple[str, str], tuple[str, str]] = {}
    groups = {"20_plrm_ku": "plrm", "20_ku": "ku", "20_c": "c", "01": "hz1", "acquisition": "acq"}
    for entry in told:
        file, _, name = entry.get("source_path", "").partition(":")
        if not file.endswith(".nc"):
            continue
        dims = entry["transform"]["dimensions"]
        dims = dims if isinstance(dims, list) else dims["safe"]
        files.setdefault(file, {})[name] = xr.Variable(dims, np.zeros([3] * len(dims)))
        if entry["target_path"].startswith("/"):
            _, _, group, *_, short = entry["target_path"].split("/")
            node = groups.get(group) or group.removeprefix("echo_").removeprefix("sar_")
            if table == "S03SRAL1R" and "_l1a_" in name:
                node = "ku_l1a"  # ESA puts both levels together, with a time for each
            expected[file, name] = node, re.sub(r"_l1(a|b|bs)$", "", re.sub(r"_01(?=$|_)", "", short))
    assert len(expected) > 50
    for file, variables in files.items():
        index = {k: v for k, v in variables.items() if v.dims == (k,)}
        rest = {k: v for k, v in variables.items() if k not in index}
        tracks = sentinel3_tracks.split(xr.Dataset(rest, xr.Coordinates(index, indexes={})))
        wanted = {where for (f, _), where in expected.items() if f == file}
        assert len(wanted) == len([1 for f, _ in expected if f == file])
        ours = {(n, str(v).lower()) for n, t in tracks.items() for v in t.variables}  # ESA's sar_mode was SAR_mode
        assert {(n, v.lower()) for n, v in wanted} <= ours
        # The rest are those that ESA makes coordinates of.
        counted = sum(len(t.data_vars) for t in tracks.values()) + sum(
            c in t for t in tracks.values() for c in ("longitude", "latitude")
        )
        shared_places = 2 * ("plrm" in tracks and "c" in tracks)
        assert counted - shared_places == len(rest)


def test_lan_on_s3_opens_with_few_requests(on_s3):
    before = traffic.requests
    items = gl.search("PEPS_S3_L1")
    assert {i.properties["product:type"] for i in items} == {"SR_1_SRA___", "SR_1_SRA_A_", "SR_1_SRA_BS"}
    for item in items:
        before = traffic.requests
        tree = gl.open_product(item)
        assert traffic.requests - before <= 8
        assert np.isfinite(tree["ku"].alt.values).all()
    nt = next(i for i in gl.search("SENTINEL3_SR_2_LAN") if i.properties["identifier"] == LAN_NT.name)
    before = traffic.requests
    tree = gl.open_product(nt)
    assert traffic.requests - before <= 8
    here = sentinel3_products.surface_height(LAN_NT.seconds)[level2.MISSED :]
    np.testing.assert_allclose(tree["ku"].elevation_ocog.values[level2.MISSED :], here, rtol=0, atol=0.51e-4)


def test_no_cube_is_made_of_tracks(written):
    with pytest.raises(gl.GeodesError, match=r"is an altimeter track.*gl\.open_product.*gl\.open_tracks"):
        gl.open_cube([written[LEVEL1.name]], bands=["alt"])
    with pytest.raises(gl.GeodesError, match="cannot be part of a cube"):
        products.unpack(written[LEVEL1.name])


# Many products ----------------------------------------------------------------------------------------------------------


def test_passes_follow_each_other_and_the_best_processing_counts(written):
    paths = [written[p.name] for p in (LAN_NEXT, LAN_NR, LAN_NT, LAN_NT)]
    found = gl.open_tracks(paths)
    assert found.sizes["time"] == 800
    assert found.indexes["time"].is_monotonic_increasing
    assert found.attrs["superseded"] == [LAN_NR.name]
    assert found.attrs["products"] == [LAN_NT.name, LAN_NEXT.name]
    assert set(found["product"].values[:400]) == {LAN_NT.name}
    assert found.cycle.values[[0, -1]].tolist() == [72, 73]
    assert set(found.relative_orbit.values) == {322}
    one = [gl.open_product(written[p.name])["ku"].to_dataset() for p in (LAN_NT, LAN_NEXT)]
    for name in one[0].data_vars:
        np.testing.assert_array_equal(found[name], np.concatenate([o[name] for o in one]))
    assert found.surf_type.dtype == np.int8
    assert all(dask.is_dask_collection(found[v].data) for v in found.data_vars)


@pytest.mark.parametrize("node", ["c", "plrm", "hz1"])
def test_every_node_can_be_had_along_time(written, node):
    found = gl.open_tracks([written[LAN_NT.name], written[LAN_NEXT.name]], node=node)
    assert found.sizes["time"] == (40 if node == "hz1" else 796)
    assert found.longitude.values.max() < 3


def test_box_selects_records(written):
    paths = [written[p.name] for p in (LAN_NT, LAN_NEXT)]
    found = gl.open_tracks(paths, bbox=LAKE, variables=["alt", "range_ocog", "surf_type"])
    whole = gl.open_tracks(paths)
    lon, lat = whole.longitude.values, whole.latitude.values
    inside = (lon >= LAKE[0]) & (lon <= LAKE[2]) & (lat >= LAKE[1]) & (lat <= LAKE[3])
    assert 0 < inside.sum() < inside.size
    np.testing.assert_array_equal(found.time, whole.time[inside])
    np.testing.assert_array_equal(found.range_ocog, whole.range_ocog[inside])
    assert set(found.data_vars) == {"alt", "range_ocog", "surf_type"}
    xr.testing.assert_equal(within(whole, LAKE).compute(), whole.isel(time=inside).compute())
    water = found.compute().where(found.surf_type.compute() == 1, drop=True)
    np.testing.assert_allclose(water.alt - water.range_ocog, 260, atol=1.01e-4)


def test_a_table_has_a_row_for_each_record(written):
    found = gl.open_tracks([written[LAN_NT.name], written[LAN_NEXT.name]], bbox=LAKE, variables=["alt", "surf_type"])
    table = found.to_dataframe()
    assert list(table.index) == list(found.indexes["time"])
    assert {"longitude", "latitude", "product", "cycle", "relative_orbit", "alt", "surf_type"} == set(table.columns)
    assert table.surf_type.dtype == np.int8
    assert len(table.groupby("cycle").alt.mean()) == 2


def test_only_the_records_in_the_box_are_read(on_s3):
    """Of waveforms, which are most of a product, only the chunks of the file that the box touches."""
    items = gl.search("SENTINEL3_SR_2_LAN")
    assert len(items) == 3
    lat = sentinel3_products.track(LAN_NT.seconds)[1]
    found = gl.open_tracks(items, bbox=(0, lat[200] - 1e-5, 5, lat[196] + 1e-5), variables=["waveform"])
    assert found.attrs["superseded"] == [LAN_NR.name]
    assert found.sizes["time"] == 10
    read = traffic.bytes
    assert np.isfinite(found.waveform.values).all()
    assert traffic.bytes - read <= 2 * 2 * 2**18


def eastward(lon: np.ndarray):
    def change(file: h5py.File) -> None:
        file["lon_20_ku"][:] = np.rint(lon % 360 * 1e6).astype("i4")

    return change


def test_box_across_the_date_line(written, tmp_path):
    lon = np.linspace(177, -178 + 360, 400)
    path = changed(written[LAN_NT.name], tmp_path, "enhanced_measurement.nc", eastward(lon))
    assert gl.open_product(path)["ku"].longitude.values.min() < -177.9
    found = gl.open_tracks(path, bbox=(179, 40, -179, 50), variables=["alt"])
    assert found.sizes["time"] == ((lon >= 179) & (lon <= 181)).sum()
    assert (abs(found.longitude) >= 179).all()
    assert found.longitude.attrs["units"] == "degrees_east"
    either = gl.open_tracks(path, bbox=(-180, 40, 178, 50), variables=["alt"])  # two runs
    assert either.sizes["time"] == ((lon <= 178) | (lon >= 180.0000001)).sum()
    assert either.indexes["time"].is_monotonic_increasing


def test_where_products_overlap_records_are_of_the_better(written, tmp_path):
    """Near real time comes in pieces that do not end where a later processing does."""
    late = sentinel3_products.Product(LAN_NT.crossing + timedelta(seconds=10), "SR_2_LAN")
    found = gl.open_tracks([write(late, tmp_path), written[LAN_NT.name]], variables=["alt"])
    better = (found["product"] == LAN_NT.name).values
    assert found.attrs["superseded"] == []
    assert better.sum() == 400
    assert found.time[better].max() < found.time[~better].min()
    gap = found.time.diff("time").max() / np.timedelta64(1, "ms")
    assert 50 < gap < 105


@pytest.mark.thorough
def test_workers_read_tracks(written):
    found = gl.open_tracks([written[LAN_NT.name], written[LAN_NEXT.name]], bbox=LAKE, variables=["elevation_ocog"])
    with dask.config.set(scheduler="processes", num_workers=2):
        far = found.elevation_ocog.compute()
    np.testing.assert_array_equal(far, found.elevation_ocog)


def test_variables_that_not_every_product_has_are_named(written, tmp_path):
    path = changed(written[LAN_NEXT.name], tmp_path, "enhanced_measurement.nc", lambda f: f.pop("agc_20_ku"))
    found = gl.open_tracks([written[LAN_NT.name], path])
    assert "agc" not in found
    assert found.attrs["left_out"] == ["agc"]
    bursts = gl.open_tracks([written[ALL[1].name]])
    assert bursts.attrs["left_out"] == ["gprw_meas_ku"]
    assert bursts.i_meas_ku.shape == (40, 64, 128)


# Names ------------------------------------------------------------------------------------------------------------------

REAL = "S3A_SR_2_LAN____20210611T011438_20210611T012436_20210611T024819_0598_072_373______LN3_O_NR_004"


def test_name_is_taken_apart():
    name = product_name.parse(f"{REAL}.SEN3")
    assert (name.text, name.kind, name.cycle, name.orbit, name.timeliness) == (REAL, "SR_2_LAN", 72, 373, "NR")
    assert name.start == np.datetime64("2021-06-11T01:14:38")
    other = product_name.parse(REAL.replace("SR_2_LAN___", "SR_2_LAN_HY").replace("S3A", "S3B"))
    assert (other.kind, other.platform) == ("SR_2_LAN_HY", "S3B")
    assert not product_name.matches("S3A_OL_1_EFR____20210611T011438")


@given(st.permutations(["NR_003", "NR_004", "ST_003", "NT_003"]))
def test_the_best_processing_is_the_last_of_the_most_careful(order):
    names = [product_name.parse(REAL.replace("NR_004", e)) for e in order]
    kept, superseded = newest(names)
    assert [k.timeliness for k in kept] == ["NT"]
    assert len(superseded) == 3


def test_pieces_are_covered_by_the_whole_and_neighbours_are_not():
    whole = product_name.parse(REAL.replace("20210611T012436", "20210611T020000").replace("NR", "NT"))
    piece, before = (
        product_name.parse(REAL),
        product_name.parse(REAL.replace("T011438", "T010436").replace("T012436", "T011438")),
    )
    assert newest([piece, whole, before]) == ([before, whole], [piece.text])
    other = product_name.parse(REAL.replace("S3A", "S3B"))
    assert newest([other, whole])[1] == []


# Damage -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (b"", r"measurement\.nc in .* is empty \(0 bytes\)"),
        (None, r"has no measurements \(enhanced_measurement\.nc, measurement\.nc, …\)"),
        (b"<xml/>", "is not a NetCDF file"),
        (lambda f: [f.pop(k) for k in list(f) if k != "echo_sample_ind"], "has no times: it is not a SRAL product"),
    ],
)
def test_damage_is_one_sentence(written, tmp_path, change, sentence):
    path = changed(written[LEVEL1.name], tmp_path, "measurement.nc", change)
    for opens in (gl.open_product, gl.open_tracks):
        with pytest.raises(gl.GeodesError, match=sentence) as caught:
            opens(path)
        assert "\n" not in str(caught.value)


def test_a_cut_file_is_one_sentence(written, tmp_path):
    whole = zipfile.ZipFile(written[LEVEL1.name]).read(f"{LEVEL1.name}.SEN3/measurement.nc")
    path = changed(written[LEVEL1.name], tmp_path, "measurement.nc", whole[: len(whole) // 2])
    with pytest.raises(gl.GeodesError, match=r"measurement\.nc in .*cannot be read as NetCDF"):
        gl.open_product(path)


def test_netcdf3_in_place_of_netcdf4_is_read(written, tmp_path):
    path = written[LEVEL1.name]
    data = zipfile.ZipFile(path).read(f"{LEVEL1.name}.SEN3/measurement.nc")
    with xr.open_dataset(io.BytesIO(data), engine="h5netcdf", decode_cf=False) as raw:
        few = raw[[v for v in raw.variables if raw[v].dtype.kind != "u"]].load()
    for variable in few.variables.values():
        variable.encoding = {}
    old = changed(path, tmp_path, "measurement.nc", bytes(few.to_netcdf(format="NETCDF3_64BIT", engine="scipy")))
    ours, theirs = (gl.open_product(p)["ku"].to_dataset() for p in (old, path))
    assert len(ours.data_vars) > 12
    xr.testing.assert_equal(
        ours.compute(), theirs[list(ours.data_vars)].drop_vars("echo_sample_ind", errors="ignore").compute()
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"node": "kuu"}, r"has no node 'kuu'; did you mean 'ku'\? it has: ku, c, plrm, hz1"),
        ({"variables": ["range_ocg"]}, r"has no variable 'range_ocg'; did you mean 'range_ocog'\?"),
        ({"variables": ["velocity_of_light"]}, "gl.open_product shows what it has"),
        ({"bbox": (5, 1, 6, 2)}, r"None of these products has a record in bbox \(5\.0, 1\.0, 6\.0, 2\.0\)"),
        ({"bbox": (5, 1, 6)}, r"bbox is \(west, south, east, north\)"),
        ({"bbox": (5, 2, 6, 1)}, r"bbox is \(west, south, east, north\)"),
        ({"bbox": 5}, r"bbox is \(west, south, east, north\)"),
    ],
)
def test_what_cannot_be_opened_is_said(written, options, sentence):
    with pytest.raises(gl.GeodesError, match=sentence):
        gl.open_tracks([written[LAN_NT.name]], **options)


def test_products_that_do_not_belong_together_are_refused(written, product):
    with pytest.raises(gl.GeodesError, match=r"several types \(SR_1_SRA, SR_2_LAN\)"):
        gl.open_tracks([written[LEVEL1.name], written[LAN_NT.name]])
    with pytest.raises(gl.GeodesError, match="is not a product of Sentinel-3's altimeter"):
        gl.open_tracks([product])
    with pytest.raises(gl.GeodesError, match="There are no products"):
        gl.open_tracks([])
    with pytest.raises(gl.GeodesError, match="has no positions: leave out bbox"):
        gl.open_tracks([written[ALL[1].name]], node="plrm", bbox=LAKE)
    with pytest.raises(gl.GeodesError, match="has no time dimension"):
        gl.open_tracks([written[ALL[1].name]], variables=["gprw_meas_ku"])
    with pytest.raises(gl.GeodesError, match="no longitude and latitude"):
        within(gl.open_product(written[ALL[1].name])["plrm"].to_dataset(), LAKE)


def test_what_is_of_no_track_is_not_lost():
    flat = xr.Dataset({"scalar": ((), 1.0), "x_20_ku": ("time_20_ku", [1.0])}, {"time_20_ku": [0.0]})
    tracks = sentinel3_tracks.split(flat)
    assert list(tracks) == ["ku", "other"]
    assert float(dataset.decoded(tracks["other"]).scalar) == 1
