"""Ranges that lie close come by one request where that is cheaper, byte for byte the same."""

import threading
import time
from concurrent.futures import Future
from functools import partial
from http.server import ThreadingHTTPServer
from itertools import pairwise

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from geodes_lab.errors import GeodesError
from geodes_lab.formats import tile_cache
from geodes_lab.formats.jpeg2000 import image
from geodes_lab.formats.jpeg2000.tile_index import Index
from geodes_lab.storage import neighbours
from geodes_lab.storage.location import locate
from geodes_lab.storage.traffic import traffic
from tests.storage.test_location import Ranged


@pytest.fixture
def web(tmp_path):
    """A web server with the files of the test."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranged, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


RANGES = st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 400)), max_size=30)


@given(RANGES, st.integers(0, 500), st.integers(1, 2000))
def test_each_range_is_in_one_run_and_no_run_is_long_or_has_a_wide_gap(ranges, gap, most):
    found = neighbours.runs(ranges, gap, most)
    assert sorted(n for run in found for n in run) == list(range(len(ranges)))
    for run in found:
        some = [ranges[n] for n in run]
        assert some == sorted(some)
        begin, ends = some[0][0], [sum(one) for one in some]
        assert len(run) == 1 or max(ends) - begin <= most
        for n, (before, after) in enumerate(pairwise(some)):
            assert after[0] <= max(max(ends[: n + 1]), sum(before)) + gap
    for run, following in pairwise(found):
        end = max(sum(ranges[n]) for n in run)
        start, length = ranges[following[0]]
        assert start > end + gap or max(end, start + length) - ranges[run[0]][0] > most, "as few as possible"


@given(RANGES)
def test_bytes_are_those_of_each_range_on_its_own(tmp_path_factory, ranges):
    content = np.random.default_rng(1).bytes(2500)  # some ranges go beyond the end, or begin there
    apart = [content[start : start + length] for start, length in ranges]
    for run in neighbours.runs(ranges, 50):
        whole: Future[bytes] = Future()
        start = ranges[run[0]][0]
        parts = neighbours.shared([ranges[n] for n in run], start, whole)
        whole.set_result(content[start : max(sum(ranges[n]) for n in run)])
        assert [p.result(0) for p in parts] == [apart[n] for n in run]


def test_a_near_and_a_far_range_come_by_one_request_each(web, tmp_path):
    content = np.random.default_rng(2).bytes(2**20)
    (tmp_path / "file").write_bytes(content)
    place = locate(f"{web}/file")
    ranges = [(1_000_000, 100), (5000, 10), (100, 40), (0, 50)]
    before = traffic.requests
    assert [f.result(30) for f in place.fetch_near(ranges)] == [content[s : s + n] for s, n in ranges]
    assert traffic.requests - before == 2


def test_an_error_of_the_request_is_that_of_each_range(web):
    futures = locate(f"{web}/is-not-there").fetch_near([(0, 10), (20, 10)])
    for one in futures:
        with pytest.raises(GeodesError, match="is-not-there"):
            one.result(60)


def test_a_quick_server_has_wider_gaps_and_a_slow_one_narrower_within_limits():
    def measured(rate: float, latency: float) -> neighbours.Rates:
        rates, now = neighbours.Rates(), [0.0]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "monotonic", lambda: now[0])
            for size in [2**12, 2**22] * 300:
                began = rates.begins()
                now[0] += latency + size / rate
                rates.ends(began, size)
        assert rates.bandwidth == pytest.approx(rate, rel=0.3)
        assert rates.latency == pytest.approx(latency, rel=0.3)
        return rates

    home, lake, hostile = measured(5e6, 0.1), measured(2e8, 0.02), measured(1e10, 0.0001)
    assert 2000 < home.gap < 20_000
    assert 60_000 < lake.gap < 200_000
    assert hostile.gap <= 2**18


def test_a_mask_of_small_tiles_takes_a_few_requests_and_is_gdals(web, tmp_path):
    """Ten times ten tiles of classes, as a mask of a product has: a hundred requests for each date before."""
    rng = np.random.default_rng(3)
    classes = np.kron(rng.integers(0, 12, (60, 60)), np.ones((32, 32))).astype("uint8")
    profile = {"driver": "JP2OpenJPEG", "count": 1, "height": 1920, "width": 1920, "dtype": "uint8", "tiled": True}
    coding = {"QUALITY": "100", "REVERSIBLE": "YES", "RESOLUTIONS": "5", "BLOCKXSIZE": 192, "BLOCKYSIZE": 192}
    with rasterio.open(tmp_path / "mask.jp2", "w", **profile, **coding) as file:
        file.write(classes, 1)
    content = (tmp_path / "mask.jp2").read_bytes()
    with rasterio.open(tmp_path / "mask.jp2", overview_level=1) as file:
        coarse = file.read()
    for place in (locate(f"{web}/mask.jp2"), locate(f"file://{tmp_path}/mask.jp2")):
        tile_cache.forget()
        before = traffic.requests
        found = image.Jpeg2000(Index(place)).read(0, (0, 1920), (0, 1920))
        np.testing.assert_array_equal(found[0], classes)
        assert traffic.requests - before <= (4 if place.scheme == "http" else 1000), "header, size, tiles, pixels"
        tile_cache.forget()
        before, size = traffic.requests, traffic.bytes
        np.testing.assert_array_equal(image.Jpeg2000(Index(place)).read(2, (0, 480), (0, 480)), coarse)
        if place.scheme == "http":
            assert (traffic.requests - before, traffic.bytes - size <= len(content)) == (1, True)
