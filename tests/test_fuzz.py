"""Damaged bytes of every kind: whatever is in a product's metadata, its zip or its images, one class of error comes out."""

from __future__ import annotations

import random
import warnings
import zipfile
from pathlib import Path

import dask
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import geodes_lab as gl
from geodes_lab import jpeg2000, tiles
from geodes_lab.datalake import locate
from geodes_lab.index import Index
from geodes_lab.jp2 import Header, NotUnderstood

FAMILIES = {
    "sentinel2": ("sentinel2-l1c/31/T/CJ/2021/08/04", (".xml",)),
    "sentinel2-l2a": ("sentinel2-l2a-esa", (".xml",)),
    "sentinel1-grd": ("sentinel1-grd", (".xml",)),
    "sentinel1-slc": ("sentinel1-slc", (".xml",)),
    "sentinel1-ocn": ("sentinel1-ocn", (".nc",)),
    "sentinel3": ("sentinel3-sral-l1", (".nc",)),
    "spot": ("swh-l1a", (".DIM",)),
    "spot-ortho": ("muscate/SPOTWORLDHERITAGE", (".xml",)),
    "theia": ("sentinel2-l2a-sprid", (".xml",)),
}
QUICK = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
LONG = settings(QUICK, max_examples=300)


def damaged(data: bytes, seed: int) -> bytes:
    """Bytes flipped, pieces dropped, doubled, emptied or cut off."""
    rng = random.Random(seed)
    found = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        if not found:
            break
        at = rng.randrange(len(found))
        match rng.randrange(6):
            case 0:
                found[at] ^= 1 << rng.randrange(8)
            case 1:
                del found[at : at + rng.randint(1, 200)]
            case 2:
                found[at:at] = found[at : at + rng.randint(1, 100)]
            case 3:
                del found[at:]
            case 4:
                found[at : at + rng.randint(1, 12)] = rng.choice(
                    [b"-1", b"NaN", b"1e400", b"", b"\x00", b"99999999999", b"<", b"</x>"]
                )
            case 5:  # a text between two tags
                start = found.find(b">", at)
                end = found.find(b"<", start)
                if 0 <= start < end:
                    found[start + 1 : end] = rng.choice(
                        [b"", b"-5", b"0", b"inf", b"nan", b"x", b"1e9", b"2021-99-99T99:99:99"]
                    )
    return bytes(found)


def opened(path: Path) -> None:
    """Open a product, and read a corner of all it has; only our own error may come out."""
    tiles.forget()
    try:
        with dask.config.set(scheduler="sync"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = gl.open_product(path)
            for node in tree.subtree:
                for variable in list(node.data_vars.values())[:2]:
                    variable[tuple(slice(0, 2) for _ in variable.dims)].values  # noqa: B018
    except gl.GeodesError:
        pass


def original(sample: Path, family: str) -> Path:
    return sorted((sample / "datalake" / FAMILIES[family][0]).rglob("*.zip"))[0]


def altered_metadata(sample: Path, folder: Path, family: str, seed: int) -> Path:
    source, endings = original(sample, family), FAMILIES[family][1]
    rng = random.Random(seed)
    path = folder / source.name
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        infos = old.infolist()
        chosen = rng.choice([i.filename for i in infos if i.filename.endswith(endings)])
        for info in infos:
            data = old.read(info)
            new.writestr(info, damaged(data, seed) if info.filename == chosen else data)
    return path


@pytest.mark.parametrize("family", list(FAMILIES))
@given(seed=st.integers(0, 2**32))
@QUICK
def test_metadata(sample, tmp_path, family, seed):
    opened(altered_metadata(sample, tmp_path, family, seed))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("family", list(FAMILIES))
@given(seed=st.integers(0, 2**32))
@LONG
def test_metadata_at_length(sample, tmp_path, family, seed):
    opened(altered_metadata(sample, tmp_path, family, seed))


@pytest.mark.parametrize("family", ["spot", "sentinel1-ocn"])
@given(seed=st.integers(0, 2**32), tail=st.booleans())
@QUICK
def test_zips(sample, tmp_path, family, seed, tail):
    data = original(sample, family).read_bytes()
    cut = max(len(data) - 2000, 0) if tail else 0
    path = tmp_path / "SPOT4-HRVIR1-X.zip" if family == "spot" else tmp_path / original(sample, family).name
    path.write_bytes(data[:cut] + damaged(data[cut:], seed))
    opened(path)


@given(seed=st.integers(0, 2**32))
@settings(QUICK, max_examples=60)
def test_code_streams(sample, tmp_path, seed):
    with zipfile.ZipFile(original(sample, "sentinel2")) as archive:
        data = archive.read(next(n for n in archive.namelist() if n.endswith("_B01.jp2")))
    rng = random.Random(seed)
    head = damaged(data[:400], seed) if rng.random() < 0.7 else data[:400]
    path = tmp_path / "x.jp2"
    path.write_bytes(head + (damaged(data[400:], seed) if rng.random() < 0.5 else data[400:]))
    try:
        image = jpeg2000.Jpeg2000(Index(locate(path)))
        rows, cols = image.shapes[0]
        image.read(0, (0, min(rows, 8)), (0, min(cols, 8)))
    except (NotUnderstood, OSError, gl.GeodesError):
        pass


@given(data=st.binary(max_size=200))
@settings(QUICK, max_examples=200)
def test_headers_of_any_bytes(data):
    with pytest.raises(NotUnderstood):
        Header.parse(b"\xff\x4f\xff\x51" + data)


def test_the_files_by_their_bytes(sample, tmp_path):
    """Nothing that is no image passes for one."""
    path = tmp_path / "x.tif"
    path.write_bytes(np.random.default_rng(0).bytes(4096))
    with pytest.raises(gl.GeodesError):
        gl.open_product(path)
