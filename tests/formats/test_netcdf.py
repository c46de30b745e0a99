"""NetCDF in place: both formats, lazily, on workers, with few requests, and what goes wrong with it."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import zlib
from pathlib import Path

import dask
import h5netcdf
import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.io import netcdf_file

import geodes_lab as gl
from geodes_lab.archive.member import Member
from geodes_lab.formats.netcdf import dataset
from geodes_lab.storage.location import locate
from geodes_lab.storage.traffic import traffic
from tests.support.examples import examples

RECORDS = 4000
QUICK = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def member(path: Path, data: bytes | None = None) -> Member:
    if data is not None:
        path.write_bytes(data)
    return Member(locate(path), 0, path.stat().st_size)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred variables in chunks of 20 numbers, as some products of Sentinel-3 have them, after their descriptions."""
    path = tmp_path_factory.mktemp("netcdf") / "many.nc"
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        time = file.create_dataset("time", (RECORDS,), "f8", chunks=(20,))
        time.make_scale("time")
        time.attrs["units"] = "seconds since 2000-01-01"
        for number in range(200):
            variable = file.create_dataset(f"v{number}", (RECORDS,), "i4", chunks=(20,), fillvalue=2**31 - 1)
            variable.attrs["_FillValue"] = np.int32([2**31 - 1])
            variable.attrs["scale_factor"], variable.attrs["long_name"] = 1e-4, "a name as long as such names are " * 4
            variable.dims[0].attach_scale(time)
        time[:] = np.arange(RECORDS) / 20
        for number in range(200):
            file[f"v{number}"][:] = np.arange(RECORDS) + number
    return path


@pytest.mark.thorough
def test_many_tiny_chunks_are_one_of_dask_and_cost_few_requests(many):
    before = traffic.requests
    found = dataset.open(member(many), "many.nc")
    assert traffic.requests - before <= 4
    assert {found[v].data.numblocks for v in found.data_vars} == {(1,)}
    before = traffic.requests
    np.testing.assert_allclose(found.v7.values, (np.arange(RECORDS) + 7) * 1e-4, rtol=1e-15)
    assert traffic.requests - before <= 2
    assert found.time.dtype == "datetime64[ns]"


def test_only_what_is_selected_is_read(many):
    stored = dataset.stored(member(many), "many.nc", wanted=lambda name: name in ("time", "v150"))
    assert set(stored.variables) == {"time", "v150"}
    before = traffic.bytes
    part = dataset.chunked(dataset.decoded(stored.drop_vars("time")).isel(time=slice(1000, 1040)))
    assert traffic.bytes == before
    np.testing.assert_allclose(part.v150.values, np.arange(1150, 1190) * 1e-4)
    assert traffic.bytes - before <= 3 * 2**18


@pytest.mark.thorough
def test_workers_read_the_file_themselves_and_open_it_once(many):
    found = dataset.open(member(many), "many.nc")
    with dask.config.set(scheduler="processes", num_workers=2):
        np.testing.assert_allclose(found[["v1", "v2"]].to_array().mean().compute(), (RECORDS / 2 + 1) * 1e-4)
    sent = pickle.dumps(found.v3.data)
    before = traffic.requests
    for _ in range(5):  # five tasks of a worker
        pickle.loads(sent).compute()
    assert traffic.requests == before
    assert len(sent) < 8_000


def test_large_variables_are_cut_along_the_chunks_of_the_file(tmp_path):
    path = tmp_path / "large.nc"
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"time": 90_000, "look": 8, "sample": 128}
        file.create_variable("echo", ("time", "look", "sample"), "i1", chunks=(1000, 8, 128), fillvalue=127)
        file.create_variable("flat", ("time",), "i2", chunks=(7,))
    found = dataset.open(member(path), "large.nc")
    steps = found.echo.data.chunks[0]
    assert all(step % 1000 == 0 for step in steps[:-1])
    assert 2**23 < max(np.prod(c) for c in [(steps[0], *(x[0] for x in found.echo.data.chunks[1:]))]) * 4 <= 2**25
    assert found.flat.data.numblocks == (1,)


def test_reading_on_takes_longer_and_longer_steps(tmp_path):
    data = np.random.default_rng(0).bytes(2**24 + 17)
    file = member(tmp_path / "long", data).open()
    before = traffic.requests
    parts = []
    while part := file.read(5000):
        parts.append(part)
    assert b"".join(parts) == data
    assert traffic.requests - before <= 12
    before = traffic.requests
    file.seek(3 * 2**20)
    assert file.read(10) == data[3 * 2**20 :][:10]
    assert file.seek(-9, io.SEEK_END) == len(data) - 9
    assert file.read() == data[-9:]
    assert traffic.requests - before <= 2


@QUICK
@given(st.lists(st.tuples(st.integers(0, 700_000), st.integers(1, 600_000)), max_size=12))
def test_a_member_reads_as_the_bytes_that_it_is(tmp_path, steps):
    data = np.random.default_rng(1).bytes(700_000)
    path = tmp_path / "part"
    path.write_bytes(b"before" + data + b"after")
    file = Member(locate(path), 6, len(data)).open()
    for start, length in steps:
        file.seek(start)
        assert file.read(length) == data[start : start + length]


def flagged(path: Path) -> Path:
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"time": 3}
        flag = file.create_variable("flag", ("time",), "i1", data=np.array([0, 1, 127], "i1"), fillvalue=127)
        flag.attrs["flag_values"], flag.attrs["flag_meanings"] = np.array([0, 1], "i1"), "good bad"
        file.create_variable("count", ("time",), "i1", data=np.array([0, 1, 127], "i1"), fillvalue=127)
        file.create_group("inner").create_variable("/inner/deep", (), "f4", data=2.5)
    return path


def test_flags_stay_integers_and_numbers_are_masked(tmp_path):
    found = dataset.open(member(flagged(tmp_path / "f.nc")), "f.nc")
    assert found.flag.dtype == np.int8
    assert found.flag.values.tolist() == [0, 1, 127]
    assert found.flag.attrs["_FillValue"] == 127
    np.testing.assert_array_equal(found["count"].values, [0, 1, np.nan])
    found.compute().to_netcdf(tmp_path / "again.nc", engine="h5netcdf")
    again = dataset.open(member(tmp_path / "again.nc"), "again.nc")
    xr.testing.assert_identical(again.compute(), found.compute())


def test_groups_are_opened_and_those_that_are_not_there_refused(tmp_path):
    path = flagged(tmp_path / "f.nc")
    assert float(dataset.open(member(path), "f.nc", "inner").deep) == 2.5
    with pytest.raises(gl.GeodesError, match=r"f\.nc has no group outer"):
        dataset.open(member(path), "f.nc", "outer")


def test_undecoded_is_as_it_is_stored(many):
    found = dataset.open(member(many), "many.nc", decode=False)
    assert found.v1.dtype == np.int32
    assert found.v1.attrs["scale_factor"] == 1e-4
    assert found.time.values[1] == 0.05


# NetCDF-3 --------------------------------------------------------------------------------------------------------------


def classic(arrays: dict[str, np.ndarray], records: dict[str, np.ndarray], version: int) -> bytes:
    """Written by SciPy; ``records`` lie along the unlimited dimension."""
    buffer = io.BytesIO()
    file = netcdf_file(buffer, "w", version=version)
    file.title = "by SciPy"
    file.createDimension("record", None)
    for name, array in arrays.items():
        dims = [f"{name}_{n}" for n in range(array.ndim)]
        for dim, size in zip(dims, array.shape, strict=True):
            file.createDimension(dim, size)
        file.createVariable(name, array.dtype, dims)[...] = array
    for name, array in records.items():
        dims = [f"{name}_{n}" for n in range(1, array.ndim)]
        for dim, size in zip(dims, array.shape[1:], strict=True):
            file.createDimension(dim, size)
        variable = file.createVariable(name, array.dtype, ("record", *dims))
        variable.units = "m"
        variable[:] = array
    file.flush()
    return buffer.getvalue()


kinds = st.sampled_from(["i1", ">i2", ">i4", ">f4", ">f8"])


@st.composite
def contents(draw):
    fixed = draw(st.lists(hnp.arrays(kinds, hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)), max_size=3))
    count = draw(st.integers(1, 4))
    rest = hnp.array_shapes(min_dims=1, max_dims=2, max_side=3).map(lambda shape: (count, *shape))
    unlimited = draw(st.lists(hnp.arrays(kinds, rest), max_size=3))
    return {f"a{n}": a for n, a in enumerate(fixed)}, {f"r{n}": a for n, a in enumerate(unlimited)}


def forward(key: object) -> bool:
    """Of empty slices that run backward xarray itself makes an error."""
    return all((s.step or 1) > 0 for s in (key if isinstance(key, tuple) else (key,)) if isinstance(s, slice))


@pytest.mark.thorough
@QUICK
@given(contents(), st.sampled_from([1, 2]), st.data())
def test_netcdf3_is_what_was_written(tmp_path, written, version, data):
    arrays, records = written
    found = dataset.open(member(tmp_path / "c.nc", classic(arrays, records, version)), "c.nc", decode=False)
    assert found.attrs["title"] == "by SciPy"
    for name, array in {**arrays, **records}.items():
        np.testing.assert_array_equal(found[name].values, array)
        indices = hnp.basic_indices(array.shape, allow_newaxis=False, allow_ellipsis=False)
        key = data.draw(indices.filter(forward))
        raw = dataset.stored(member(tmp_path / "c.nc"), "c.nc")[name]
        np.testing.assert_array_equal(raw[key].values, array[key])


def test_netcdf3_is_decoded_lazily_and_goes_to_workers(tmp_path):
    buffer = io.BytesIO()
    data = xr.Dataset(
        {"height": ("time", np.array([1.5, np.nan, 2.5]))}, {"time": np.arange(3).astype("datetime64[D]")}
    )
    data.height.encoding = {"dtype": "i2", "scale_factor": 0.5, "_FillValue": -1}
    buffer.write(data.to_netcdf(format="NETCDF3_64BIT", engine="scipy"))
    whole = member(tmp_path / "c.nc", buffer.getvalue())
    before = traffic.bytes
    found = dataset.open(whole, "c.nc")
    assert traffic.bytes - before < 3 * len(buffer.getvalue())  # a file as small as a block
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).height.values, [1.5, np.nan, 2.5])
    assert str(found.time.values[1])[:10] == "1970-01-02"
    with pytest.raises(gl.GeodesError, match="NetCDF-3 file, which has no groups"):
        dataset.open(whole, "c.nc", "inner")


def test_netcdf3_with_64_bits_of_everything(tmp_path):
    """CDF-5, written here: no library that writes it is in the environment."""

    def name(text: str) -> bytes:
        return struct.pack(">q", len(text)) + text.encode().ljust(-(-len(text) // 4) * 4, b"\0")

    head = b"CDF\x05" + struct.pack(">q", 0)
    dims = struct.pack(">iq", 10, 1) + name("x") + struct.pack(">q", 3)
    attrs = struct.pack(">iq", 12, 1) + name("units") + struct.pack(">iq", 2, 1) + b"m\0\0\0"
    start = struct.pack(">iq", 11, 1) + name("big") + struct.pack(">qq", 1, 0) + attrs + struct.pack(">iq", 11, 24)
    begin = len(head + dims) + 12 + len(start) + 8
    data = head + dims + struct.pack(">iq", 0, 0) + start + struct.pack(">q", begin)
    data += np.array([1, 2**63, 3], ">u8").tobytes()
    found = dataset.open(member(tmp_path / "five.nc", data), "five.nc")
    assert found.big.values.tolist() == [1, 2**63, 3]
    assert found.big.attrs == {"units": "m"}


# Damage ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", r"x\.nc of P is empty \(0 bytes\)"),
        (b"<html>403</html>", r"x\.nc of P is not a NetCDF file \(16 bytes\)"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), r"x\.nc of P cannot be read as NetCDF"),
        (b"CDF\x01\0\0", "header ends too early"),
        (b"CDF\x07" + bytes(100), "not a NetCDF file"),
        (classic({"a": np.arange(9.0)}, {}, 1)[:-8], "ends too early: a continues after its end"),
    ],
)
def test_damage_is_one_sentence(tmp_path, data, sentence):
    with pytest.raises(gl.GeodesError, match=sentence) as caught:
        dataset.open(member(tmp_path / "x.nc", data), "x.nc of P")
    assert "\n" not in str(caught.value)


def test_a_cut_file_is_told_whenever_it_is_found_out(many, tmp_path):
    cut = many.read_bytes()
    with pytest.raises(gl.GeodesError, match=r"many\.nc of P"):
        dataset.open(member(tmp_path / "cut.nc", cut[: len(cut) // 2]), "many.nc of P").compute()


def test_damaged_numbers_name_their_variable(tmp_path):
    path = tmp_path / "d.nc"
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"time": 1000}
        values = np.arange(1000) % 251
        file.create_variable("height", ("time",), "i4", data=values, chunks=(1000,), compression="gzip")
    data = path.read_bytes()
    packed = zlib.compress(values.astype("<i4").tobytes(), 4)
    at = data.index(packed[:20])
    found = dataset.open(member(path, data[: at + 30] + bytes(50) + data[at + 80 :]), "d.nc of P")
    with pytest.raises(gl.GeodesError, match=r"height of d\.nc of P cannot be read as NetCDF"):
        found.height.compute()


@settings(QUICK, max_examples=examples(200))
@given(st.data())
def test_no_damage_of_netcdf3_is_more_than_a_sentence(tmp_path, data):
    whole = bytearray(classic({"a": np.arange(6.0).reshape(2, 3)}, {"r": np.arange(4).astype(">i4")}, 1))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(3, len(whole) - 1))] = data.draw(st.integers(0, 255))
    whole = whole[: data.draw(st.integers(4, len(whole)))]
    with contextlib.suppress(gl.GeodesError):
        dataset.open(member(tmp_path / "x.nc", bytes(whole)), "x.nc").compute()
