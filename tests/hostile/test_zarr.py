"""Zarr stores made by an attacker: chunks that hold gigabytes, codecs that are programs, names and links that lead elsewhere."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

from geodes_lab.formats import compressed_size
from geodes_lab.formats.zarr import codecs, document
from tests.support.products.mutations import write_zarr

pytestmark = pytest.mark.attack


@pytest.fixture
def store(tmp_path) -> Path:
    import random

    write_zarr(tmp_path / "a.zarr", 2, False, random.Random(1))
    return tmp_path / "a.zarr"


def array(folder: Path, name: str, change: Callable[[dict[str, Any]], Any], document: str = ".zarray") -> None:
    path = folder / name / document
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))
    (folder / ".zmetadata").unlink(missing_ok=True)
    (folder / name / "0.0").touch()


def zstd_of_runs(size: int) -> bytes:
    """A frame that does not say its size: blocks of 128 KiB, of four bytes each."""
    blocks = size // 2**17
    body = b"".join(struct.pack("<I", (2**17 << 3 | 1 << 1 | (n == blocks - 1)))[:3] + b"\0" for n in range(blocks))
    return struct.pack("<IBB", 0xFD2FB528, 0, 0x58) + body


@pytest.mark.parametrize("way", [*sorted(compressed_size.WAYS - {"lzma"}), "zstd of runs"])
def test_chunk_that_holds_gigabytes(store, refused, way):
    data = (
        zstd_of_runs(2**31)
        if way == "zstd of runs"
        else bytes(numcodecs.get_codec({"id": way}).encode(bytes(2**24)))  # that much of 2 kB
    )
    array(store, "b02", lambda told: told.update(compressor={"id": way.split()[0]}))
    (store / "b02" / "0.0").write_bytes(data)
    assert "and a chunk of this array has" in refused(store)


def test_chunk_in_a_shard_that_holds_gigabytes(tmp_path, refused):
    path = tmp_path / "a.zarr"
    import random

    write_zarr(path, 3, True, random.Random(1))
    shard = next(p for p in sorted((path / "b02" / "c").rglob("*")) if p.is_file())
    bomb = zstd_of_runs(2**30)
    count = 4
    index = struct.pack("<QQ", 0, len(bomb)) * count
    import google_crc32c

    shard.write_bytes(bomb + index + struct.pack("<I", google_crc32c.value(index)))
    assert "and a chunk of this array has" in refused(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"chunks": [2**16, 2**16]}, "A chunk of b02"),
        ({"shape": [2**40, 2**40]}, "more than the"),
        ({"shape": [2**21, 4], "chunks": [1, 1]}, "chunks along a dimension"),
        ({"dtype": "<U99999999"}, "A chunk of b02"),
        ({"dtype": "|O"}, "they may be programs"),
        ({"dtype": "|O", "filters": [{"id": "pickle"}]}, "the codec 'pickle'"),
        ({"dtype": "|O", "filters": [{"id": "msgpack2"}]}, "the codec 'msgpack2'"),
        ({"filters": [{"id": "pickle"}]}, "the codec 'pickle'"),
        ({"filters": [{"id": "zstd"}]}, "the codec 'zstd'"),
        ({"compressor": {"id": "imagecodecs_tiff"}}, "the codec 'imagecodecs_tiff'"),
        ({"compressor": {"id": "n5_wrapper"}}, "the codec"),
        ({"storage_transformers": [{"name": "x"}]}, "storage transformers"),
        ({"dtype": [["a", "<f8", [99999, 99999]]]}, "a number type that is not supported"),
        ({"chunks": [0, 4]}, "sizes that are not valid"),
        ({"shape": "x"}, "sizes that are not valid"),
    ],
)  # fmt: skip
def test_what_no_array_says(store, refused, change, says):
    array(store, "b02", lambda told: told.update(change))
    assert says in refused(store)


@pytest.mark.parametrize("said", ["|S1000000", "<U4", "|V8", "|O", "M8[ns]"])
@pytest.mark.parametrize(
    "codec", [{"id": "astype", "encode_dtype": "<f4"}, {"id": "delta", "dtype": "<f4"}], ids=lambda c: c["id"]
)
def test_codec_that_gives_no_numbers(store, refused, codec, said):
    """Of a byte it could make a megabyte."""
    field = "decode_dtype" if codec["id"] == "astype" else "astype"
    array(store, "b02", lambda told: told.update(filters=[codec | {field: said}]))
    assert "which are not numbers" in refused(store)


@pytest.mark.parametrize("kind", ["float32", "<f4", "|u1", ">i2", "uint16", "bool"])
def test_codec_that_gives_numbers(kind):
    assert codecs._name({"id": "delta", "dtype": kind, "astype": kind}, "id") == "delta"


def test_chunks_by_the_billion(store, refused):
    array(store, "b02", lambda told: told.update(shape=[2**19, 2**19], chunks=[1, 1]))
    assert "chunks, more than the" in refused(store)


@pytest.mark.parametrize("first", [2, 3])
def test_array_with_two_documents(tmp_path, refused, first):
    """One is honest, the other says chunks that hold more; zarr-python asks for both."""
    import random

    path = tmp_path / "a.zarr"
    write_zarr(path, first, False, random.Random(1))
    for name in (".zmetadata", "zarr.json"):
        document = path / name
        if document.exists() and name == ".zmetadata":
            document.unlink()
        elif document.exists():
            document.write_text(
                json.dumps({k: v for k, v in json.loads(document.read_text()).items() if k != "consolidated_metadata"})
            )
    other = tmp_path / "b.zarr"
    write_zarr(other, 5 - first, False, random.Random(1))
    for name in (".zarray", ".zattrs", "zarr.json"):
        document = other / "b02" / name
        if document.exists():
            text = document.read_text()
            told = json.loads(text)
            if name == ".zarray":
                told["chunks"] = [told["chunks"][0] * 8, *told["chunks"][1:]]
            elif name == "zarr.json":
                sizes = told["chunk_grid"]["configuration"]["chunk_shape"]
                told["chunk_grid"]["configuration"]["chunk_shape"] = [sizes[0] * 8, *sizes[1:]]
            (path / "b02" / name).write_text(json.dumps(told))
    assert "in two different ways" in refused(path)


def test_pickle_is_never_loaded(store, tmp_path, refused):
    """A codec that is a program: the chunk would touch a file when it is decoded."""

    class Program:
        def __reduce__(self) -> Any:
            return os.mknod, (str(tmp_path / "work" / "was-run"),)

    array(
        store, "b02", lambda told: told.update(dtype="|O", filters=[{"id": "pickle"}], compressor=None, fill_value=None)
    )
    (store / "b02" / "0.0").write_bytes(pickle.dumps(Program()))
    refused(store)
    assert not (tmp_path / "work" / "was-run").exists()


@pytest.mark.parametrize(
    ("codecs", "says"),
    [
        ([{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 1}}, {"name": "zstd", "configuration": {}}], "several codecs for one array"),
        ([{"name": "numcodecs.pickle", "configuration": {}}], "the codec 'pickle'"),
        ([{"name": "sharding_indexed", "configuration": {"chunk_shape": [1, 1], "codecs": [{"name": "bytes"}], "index_codecs": [{"name": "bytes"}]}}], "more than"),
        ([], "no codecs"),
        ([{"name": "reference", "configuration": {"path": "/etc/passwd"}}], "the codec 'reference'"),
    ],
)  # fmt: skip
def test_what_no_array_of_format_3_says(tmp_path, refused, codecs, says):
    import random

    write_zarr(tmp_path / "a.zarr", 3, False, random.Random(1))
    path = tmp_path / "a.zarr" / "b02" / "zarr.json"
    told = json.loads(path.read_text()) | {"codecs": codecs}
    told["chunk_grid"]["configuration"]["chunk_shape"] = [1000, 1000]
    path.write_text(json.dumps(told))
    root = tmp_path / "a.zarr" / "zarr.json"
    root.write_text(json.dumps({k: v for k, v in json.loads(root.read_text()).items() if k != "consolidated_metadata"}))
    assert says in refused(tmp_path / "a.zarr")


@pytest.mark.parametrize("name", ["../../other/canary/secret.zarr", "/etc", "a/../../b", "..", "a//b"])
@pytest.mark.parametrize("form", [2, 3])
def test_names_that_lead_out_of_the_store(tmp_path, canary, refused, name, form):
    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=form)
    group.create_array(
        "b",
        shape=(4, 4),
        dtype="u2",
        chunks=(4, 4),
        compressors=None,
        dimension_names=("y", "x") if form == 3 else None,
    )
    document = path / ("zarr.json" if form == 3 else ".zmetadata")
    if form == 3:
        told = json.loads(document.read_text())
        inner = json.loads((path / "b" / "zarr.json").read_text())
        told["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": {name: inner}}
    else:
        attrs = {"_ARRAY_DIMENSIONS": ["y", "x"]}
        inner = json.loads((path / "b" / ".zarray").read_text())
        told = {
            "zarr_consolidated_format": 1,
            "metadata": {".zgroup": {"zarr_format": 2}, f"{name}/.zarray": inner, f"{name}/.zattrs": attrs},
        }
    document.write_text(json.dumps(told))
    assert re.search("(contains the|has an invalid) name", refused(path))


def test_links_that_lead_out_of_the_store(store, canary, refused):
    chunk = store / "b02" / "0.0"
    chunk.unlink()
    chunk.symlink_to(canary.folder / "secret.bin")
    assert "is a link that leads out of its Zarr store" in refused(store)
    chunk.unlink()
    os.mkfifo(chunk)
    assert "is a pipe or a device" in refused(store)
    chunk.unlink()
    (store / "loop").symlink_to(store / "measurements")
    assert "is a link to a folder" in refused(store)
    (store / "loop").unlink()
    (store / "loop").symlink_to(store)
    assert "points to an ancestor" in refused(store)


def test_coordinate_of_gigabytes_that_is_nothing_but_fill(tmp_path, refused):
    """Ten lines of JSON, of which reading a coordinate makes 4 GiB."""
    for form in (2, 3):
        path = tmp_path / f"{form}.zarr"
        group = zarr.open_group(path, mode="w", zarr_format=form)
        made = {"shape": (2**29,), "dtype": "f8", "chunks": (2**20,)}
        x = group.create_array("x", **made, **({"dimension_names": ("x",)} if form == 3 else {}))
        b = group.create_array(
            "b",
            shape=(4, 2**21),
            dtype="u1",
            chunks=(4, 2**20),
            **({"dimension_names": ("y", "x")} if form == 3 else {}),
        )
        if form == 2:
            x.attrs["_ARRAY_DIMENSIONS"], b.attrs["_ARRAY_DIMENSIONS"] = ["x"], ["y", "x"]
        assert "he coordinate x" in refused(path)
        assert "he coordinate x" in refused(path, "opened")


def test_document_of_a_gigabyte(store, refused):
    with (store / ".zmetadata").open("wb") as file:
        file.truncate(2**30)
    assert ".zmetadata of" in refused(store)
    (store / ".zmetadata").write_text("[" * 100_000)
    assert "nested too deeply" in refused(store)


@pytest.mark.parametrize(
    "name",
    [
        ".zgroup",
        ".zattrs",
        "b02/.zarray",
        "b02/.zattrs",
        "x/.zarray",
        "measurements/.zgroup",
        "measurements/r20m/b02/.zarray",
    ],
)
def test_damaged_store_is_one_sentence(store, opened, name):
    (store / ".zmetadata").unlink(missing_ok=True)
    for data in (b"", b"\xff\xfe\x00", b"null", b'{"zarr_format": 7}', b'{"zarr_format": 2, "shape": [1e400]}'):
        (store / name).write_bytes(data)
        opened(store, "opened")


def test_damaged_chunk_is_one_sentence(store, refused):
    for chunk in (store / "b02").glob("[0-9]*"):
        chunk.write_bytes(b"\x28\xb5\x2f\xfd garbage")
    assert "b02 of" in refused(store)


def test_frames_are_counted_alike():
    rng = np.random.default_rng(0)
    for way in sorted(compressed_size.WAYS):
        codec = numcodecs.get_codec({"id": way})
        for data in (b"a", bytes(300_000), rng.bytes(200_003), rng.integers(0, 4, 10**6).astype("u1").tobytes()):
            packed = bytes(codec.encode(data))
            assert compressed_size.held(way, packed, 2**24) == len(data)
            for cut in (packed[:1], packed[: len(packed) // 2]):
                with contextlib.suppress(ValueError):
                    compressed_size.held(way, cut, 2**24)
    twice = gzip.compress(bytes(1000)) * 3
    assert compressed_size.held("gzip", twice, 2**24) == 3000
    assert document.clean("a/c/0/0")
    assert not document.clean("a/../b")


def test_result_whose_store_has_links_is_not_published(store, canary, refused):
    chunk = store / "x" / "0"
    chunk.unlink()
    chunk.symlink_to(canary.folder / "secret.bin")
    assert "leads out of its Zarr store" in refused(store, "published")
