"""HDF5 and NetCDF made by an attacker: numbers in the opener's other files, chunks that inflate to gigabytes."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import pytest

import geodes_lab as gl
from geodes_lab.archive.member import Member
from geodes_lab.formats.netcdf import dataset, hdf5
from geodes_lab.storage.location import place_of

pytestmark = pytest.mark.attack


def hdf5_file(path: Path, make: Callable[[h5py.File], Any]) -> Path:
    with h5py.File(path, "w") as file:
        make(file)
    return path


SHAPE = (300, 600)


def external(canary: Path) -> Callable[[h5py.File], Any]:
    return lambda file: file.create_dataset("LAI", SHAPE, "u1", external=[(str(canary / "secret.bin"), 0, 180_000)])


def link(canary: Path) -> Callable[[h5py.File], Any]:
    return lambda file: file.__setitem__("LAI", h5py.ExternalLink(str(canary / "secret.h5"), "secret"))


def deep_link(canary: Path) -> Callable[[h5py.File], Any]:
    def make(file: h5py.File) -> None:
        file.create_group("a/b")["c"] = h5py.ExternalLink(str(canary / "secret.h5"), "secret")
        file["LAI"] = h5py.SoftLink("/a/b/c")

    return make


def virtual(canary: Path) -> Callable[[h5py.File], Any]:
    def make(file: h5py.File) -> None:
        layout = h5py.VirtualLayout(SHAPE, "u1")
        layout[...] = h5py.VirtualSource(str(canary / "secret.h5"), "secret", SHAPE)
        file.create_virtual_dataset("LAI", layout)

    return make


@pytest.mark.parametrize("make", [external, link, deep_link, virtual])
def test_hdf5_with_parts_in_other_files(sample, tmp_path, canary, refused, make):
    path = hdf5_file(tmp_path / "THEIA_GEOV2_R02_AVHRR_LAI_20210705.h5", make(canary.folder))
    assert "to another file" in (said := refused(path)) or "has its data in other files" in said
    # The same as NetCDF: a member of a product that xarray opens.
    source = next((sample / "datalake" / "sentinel1-ocn").rglob("*IW_OCN*.zip"))
    ocn = tmp_path / source.name
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(ocn, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename.endswith(".nc"):
                file = io.BytesIO(data)
                with h5py.File(file, "r+") as there:
                    name = next(n for n in there if n.startswith("owiWind"))
                    del there[name]
                    make(canary.folder)(there)
                    there.move("LAI", name)
                data = file.getvalue()
            new.writestr(info, data)
    said = refused(ocn, "opened")
    assert "in other files" in said or "to another file" in said


def bomb(file: h5py.File, chunk: tuple[int, int], inside: int, **options: Any) -> None:
    made = file.create_dataset("LAI", (3600, 7200), "u1", chunks=chunk, compression="gzip", **options)
    packer = zlib.compressobj(9)
    made.id.write_direct_chunk(
        (0, 0), b"".join(packer.compress(bytes(2**20)) for _ in range(inside >> 20)) + packer.flush()
    )


def test_hdf5_chunk_that_inflates_to_gigabytes(tmp_path, refused):
    """HDF5 makes its buffer larger until all is inflated, whatever the size of a chunk."""
    name = "THEIA_GEOV2_R02_AVHRR_LAI_20210705.h5"
    path = hdf5_file(tmp_path / name, lambda file: bomb(file, (60, 120), 2**29))
    assert path.stat().st_size < 1e6
    assert "has more than the" in refused(path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda f: f.create_dataset("LAI", (2**15, 2**16), "u1", chunks=(2**15, 2**16), compression="gzip"),
            "A chunk of LAI",
        ),
        (lambda f: f.create_dataset("LAI", (2**31, 2**32), "u1", chunks=(16, 16)), "LAI of"),
        (
            lambda f: f.create_dataset("LAI", SHAPE, "u1", chunks=(30, 60), compression="lzf"),
            "with an HDF5 filter (32000)",
        ),
        (lambda f: f.create_dataset("LAI", SHAPE, "u1", chunks=(30, 60), scaleoffset=4), "with an HDF5 filter (6)"),
    ],
)
def test_hdf5_that_is_larger_than_any(tmp_path, refused, make, says):
    assert says in refused(hdf5_file(tmp_path / "THEIA_GEOV2_R02_AVHRR_LAI_20210705.h5", make))


def test_hdf5_coordinate_of_gigabytes(tmp_path, refused):
    def make(file: h5py.File) -> None:
        file.create_dataset("time", (2**29,), "f8", chunks=(2**20,))
        file["time"].make_scale("time")

    assert "The coordinate time" in refused(hdf5_file(tmp_path / "a.h5", make))


def test_words_that_are_all_one_long_word(tmp_path, refused):
    """A thousand of them, which lead to the same megabytes, would take gigabytes."""
    path = tmp_path / "a.nc"
    with h5netcdf.File(path, "w") as file:
        file.dimensions["name"] = 1024
        file.create_variable("name", ("name",), h5py.string_dtype())[0] = "x" * 2**23
    data = bytearray(path.read_bytes())
    with h5py.File(path, "r") as file:
        at = file["name"].id.get_offset()
    data[at : at + 1024 * 16] = data[at : at + 16] * 1024
    path.write_bytes(data)
    with h5py.File(path, "r") as file:
        assert len(file["name"][1023]) == 2**23, "the control: they are one"
    tracemalloc.start()
    with pytest.raises(gl.GeodesError, match=r"name of .*more than the 256"):
        dataset.open(member(path), path.name)
    assert tracemalloc.get_traced_memory()[1] < 2**29
    tracemalloc.stop()


def test_words_of_a_file_that_is_not_small(tmp_path):
    """They are read one by one, and are what they are."""
    path = tmp_path / "a.nc"
    names = [f"é{n}" for n in range(30)]
    with h5netcdf.File(path, "w") as file:
        file.dimensions["name"], file.dimensions["x"] = 30, 2**24
        file.create_variable("name", ("name",), h5py.string_dtype())[:] = names
        file.create_variable("a", ("x",), "u1")[:] = 1
    assert dataset.open(member(path), path.name).name.values.tolist() == names
    assert dataset.stored(member(path), path.name).name[[3, 5]].values.tolist() == ["é3", "é5"]
    assert dataset.stored(member(path), path.name).name[4].item() == "é4"


@pytest.mark.parametrize(("count", "opens"), [(60, True), (2000, False)])
def test_attribute_of_words(tmp_path, count, opens):
    path = tmp_path / "a.nc"
    with h5netcdf.File(path, "w") as file:
        file.dimensions["x"] = 2**23
        file.create_variable("a", ("x",), "u1")[:] = 1
        file.attrs["names"] = ["x"] * count
    with contextlib.nullcontext() if opens else pytest.raises(gl.GeodesError, match=r"An attribute of a\.nc"):
        assert len(dataset.open(member(path), path.name).attrs["names"]) == count


def member(path: Path) -> Member:
    return Member(place_of(str(path)), 0, path.stat().st_size)


def test_honest_chunks_are_counted(tmp_path):
    """Stored chunks that are so large that they are looked into; all filters that are known."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**16, (2000, 1500)).astype("u2")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset(
            "a", data=values, chunks=(1000, 1500), compression="gzip", shuffle=True, fletcher32=True
        )
        hdf5.check(made, "a")
        for selection in ((slice(0, 2000), slice(0, 1500)), (5, slice(3, 900, 7)), (np.array([3, 1999]), slice(None))):
            hdf5.check_chunks(made, selection, "a")
        assert (made[...] == values).all()
