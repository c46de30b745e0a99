"""Where tile-parts are: listed in the header, looked for at many places at once, or hopped to; always the same."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from geodes_lab.formats.jpeg2000.tile_index import Index
from geodes_lab.formats.jpeg2000.tile_parts import TileParts, listed
from geodes_lab.storage.location import locate
from geodes_lab.storage.traffic import traffic
from tests.support.examples import examples

SIDE, TILE = 1500, 64


@pytest.fixture(scope="module")
def band(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An image of 576 tiles of very different lengths, with and without the list of them."""
    rng = np.random.default_rng(1)
    numbers = rng.integers(0, 4000, (SIDE, SIDE)).astype("uint16")
    numbers[200:900, :700] = 0
    numbers[:, 1200:] //= 500
    found = {}
    for tlm in ("YES", "NO"):
        found[tlm] = tmp_path_factory.mktemp("jp2") / f"{tlm}.jp2"
        coding = {
            "QUALITY": "100",
            "REVERSIBLE": "YES",
            "BLOCKXSIZE": TILE,
            "BLOCKYSIZE": TILE,
            "TLM": tlm,
            "tiled": True,
        }
        with rasterio.open(
            found[tlm], "w", driver="JP2OpenJPEG", count=1, height=SIDE, width=SIDE, dtype="uint16", **coding
        ) as file:
            file.write(numbers, 1)
    return found


def parts(index: Index) -> TileParts:
    down, across = index.header.grid
    end = index.place.size()
    return TileParts(index.place, index.first, end, down * across, {})


def test_a_list_in_the_header_is_all_that_is_read(band):
    before = traffic.requests
    index = Index(locate(band["YES"]))
    told = index.parts(range(576))
    assert traffic.requests - before == 1
    looked_for = parts(index)
    looked_for.find(range(576))
    assert told == [looked_for.known[n] for n in range(576)]
    before = traffic.requests
    assert Index(locate(band["YES"])).parts([575]) == told[-1:]
    assert traffic.requests == before, "it is kept"


@given(wanted=st.sets(st.integers(0, 575), min_size=1, max_size=300))
@settings(max_examples=examples(30), deadline=None)
def test_tiles_are_found_however_many_are_looked_for(band, wanted):
    index = Index(locate(band["NO"]))
    found = parts(index)
    found.find(sorted(wanted))
    hopped = parts(index)
    hopped.end = 0  # one after the other
    hopped.find([575])
    assert {t: found.known[t] for t in wanted} == {t: hopped.known[t] for t in wanted}
    assert all(hopped.known[t] == part for t, part in found.known.items())


def test_many_tiles_wait_few_times(band, monkeypatch):
    index, waits = Index(locate(band["NO"])), []
    fetch = type(index.place).fetch

    def counted(self, ranges, tag=None):
        waits.append(len(ranges))
        return fetch(self, ranges, tag)

    monkeypatch.setattr(type(index.place), "fetch", counted)
    parts(index).find(range(576))
    assert len(waits) < 576 / 6


def tlm(entries: bytes, style: int, number: int = 0) -> bytes:
    return struct.pack(">HHBB", 0xFF55, 4 + len(entries), number, style) + entries


def test_lists_of_all_kinds():
    start = b"\xff\x4f"
    assert listed(start + tlm(struct.pack(">II", 20, 30), 0x40), 100, 2) == {0: (100, 20), 1: (120, 30)}
    assert listed(start + tlm(struct.pack(">BHBH", 1, 20, 0, 30), 0x10), 100, 2) == {1: (100, 20), 0: (120, 30)}
    halves = tlm(struct.pack(">HI", 1, 30), 0x60, 1) + tlm(struct.pack(">HI", 0, 20), 0x60, 0)
    assert listed(start + halves, 0, 2) == {0: (0, 20), 1: (20, 30)}
    for damaged in (
        tlm(struct.pack(">II", 20, 30), 0x40)[:-1],
        tlm(struct.pack(">II", 20, 3), 0x40),
        tlm(struct.pack(">I", 20), 0x40),
        tlm(struct.pack(">BHBH", 1, 20, 1, 30), 0x10),
        tlm(b"", 0x70),
    ):
        assert listed(start + damaged, 100, 2) == {}
