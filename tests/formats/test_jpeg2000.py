"""JPEG 2000 by tiles against GDAL, which decodes whole files and was not written here."""

from __future__ import annotations

import os
import threading
import warnings
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import dask
import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.archive.archive import Archive
from geodes_lab.errors import NotUnderstood
from geodes_lab.formats import tile_cache
from geodes_lab.formats.jpeg2000 import image, open_tile, openjpeg, packets, rough
from geodes_lab.formats.jpeg2000.tile_index import Index
from geodes_lab.products import bands
from geodes_lab.reading import gdal, window
from geodes_lab.sample.sentinel2 import l1c
from geodes_lab.storage.location import locate
from geodes_lab.storage.traffic import traffic
from tests.storage.test_location import Ranged
from tests.support.examples import examples


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Each test begins without tiles, indexes and counts in memory."""
    tile_cache.forget()
    image.open.cache_clear()
    window.ways.clear()


def whole_or_part(index: Index, rows: tuple[int, int], cols: tuple[int, int], level: int = 0) -> np.ndarray:
    return image.Jpeg2000(index).read(level, rows, cols)


def member(path: Path, ending: str) -> tuple[Index, str]:
    archive = Archive(str(path))
    name = next(n for n in archive.names if n.endswith(ending))
    return Index(archive.place, archive.range(name)), archive.gdal(name)


@pytest.mark.parametrize("ending", ["_B04.jp2", "_B05.jp2", "_B01.jp2", "_TCI.jp2"])
def test_whole_image_is_gdals(product, ending):
    index, path = member(product, ending)
    with rasterio.open(path) as file:
        rows, cols = index.header.size
        np.testing.assert_array_equal(whole_or_part(index, (0, rows), (0, cols)), file.read())


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), ending=st.sampled_from(["_B04.jp2", "_B01.jp2"]), level=st.integers(0, 4))
def test_any_window_at_any_level_is_part_of_the_whole(product, data, ending, level):
    index, path = member(product, ending)
    rows, cols = (-(-size // 2**level) for size in index.header.size)
    top, left = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    bottom, right = data.draw(st.integers(top + 1, rows)), data.draw(st.integers(left + 1, cols))
    whole = whole_or_part(index, (0, rows), (0, cols), level)
    np.testing.assert_array_equal(
        whole_or_part(index, (top, bottom), (left, right), level), whole[:, top:bottom, left:right]
    )
    if not level:
        with rasterio.open(path) as file:
            np.testing.assert_array_equal(whole, file.read())


@pytest.mark.parametrize(
    ("ending", "level"), [("_B04.jp2", 1), ("_B04.jp2", 2), ("_B04.jp2", 3), ("_B05.jp2", 2), ("_B01.jp2", 1)]
)
def test_overview_is_gdals_bit_for_bit(product, ending, level):
    index, path = member(product, ending)
    rows, cols = (-(-size // 2**level) for size in index.header.size)
    with rasterio.open(path, overview_level=level - 1) as file:
        np.testing.assert_array_equal(whole_or_part(index, (0, rows), (0, cols), level), file.read())


@pytest.mark.parametrize(
    "options", [{"TLM": "YES"}, {"PLT": "YES"}, {"PROGRESSION": "RLCP"}, {"REVERSIBLE": "NO", "QUALITY": "60"}]
)
def test_other_markers_and_codings_are_read_by_tiles_too(tmp_path, options):
    path = write(tmp_path, **options)
    index = Index(locate(path))
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(whole_or_part(index, (0, 500), (0, 400)), file.read())
    for level in (1, 2):
        with rasterio.open(path, overview_level=level - 1) as file:
            np.testing.assert_array_equal(
                whole_or_part(index, (0, -(-500 // 2**level)), (0, -(-400 // 2**level)), level), file.read()
            )


def write(folder: Path, **options: str) -> Path:
    rng = np.random.default_rng(0)
    numbers = (np.add.outer(np.arange(500), np.arange(400)) * 9 + rng.integers(0, 60, (500, 400))).astype("uint16")
    path = folder / "coded.jp2"
    profile = {"driver": "JP2OpenJPEG", "count": 1, "height": 500, "width": 400, "dtype": "uint16", "tiled": True}
    # Small enough for overviews to exist, so that GDAL has something to be compared with.
    coding = {"QUALITY": "100", "REVERSIBLE": "YES", "RESOLUTIONS": "5", "BLOCKXSIZE": 128, "BLOCKYSIZE": 128}
    with rasterio.open(
        path, "w", crs="EPSG:32631", transform=l1c.Affine(10, 0, 0, 0, -10, 0), **profile, **coding | options
    ) as f:
        f.write(numbers, 1)
    return path


@pytest.mark.parametrize("options", [{"PROGRESSION": "RPCL"}, {"PROGRESSION": "CPRL"}])
def test_overview_that_is_not_at_the_beginning_is_left_to_gdal(tmp_path, options):
    index = Index(locate(write(tmp_path, **options)))
    with pytest.raises(NotUnderstood):
        whole_or_part(index, (0, 10), (0, 10), 1)


def test_every_tile_is_decoded_once(on_disk):
    items = gl.search("PEPS_S2_L1C", datetime="2021-06-05")
    # Chunks that cut the tiles: four of them meet in most tiles.
    gl.open_cube(items, bands=["red"], chunks=300).red.compute(scheduler="threads")
    assert tile_cache.shared().decoded == 8
    assert set(window.ways) == {"tiles"}


def test_warm_window_asks_once_for_each_tile_and_for_nothing_else(on_s3):
    items = gl.search("PEPS_S2_L1C", datetime="2021-06-05", bbox=(1.70, 43.5, 1.72, 43.7))
    cube = gl.open_cube(items, bands=["red"], bbox=(1.80, 43.53, 1.83, 43.56))
    cold = cube.red.compute(scheduler="sync")
    tile_cache.forget()
    image.open.cache_clear()  # only what is on disk stays, as after a restart
    requests, size = traffic.requests, traffic.bytes
    warm = cube.red.compute(scheduler="sync")
    np.testing.assert_array_equal(cold, warm)
    touched = tile_cache.shared().decoded
    assert traffic.requests - requests == touched == 2
    read = traffic.bytes - size
    source = bands.source(products.unpack(items[0]), "red")
    index = image.open(locate("s3://" + source.href.split("/vsis3/")[1].split("}")[0]), source.stored, 0).index
    assert read <= sum(length for _, length in index.parts([0, 1, 2, 3]))


@pytest.mark.parametrize("found", [True, False])
@settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), ending=st.sampled_from(["_B04.jp2", "_TCI.jp2"]))
def test_any_area_of_a_tile_is_part_of_the_whole(product, found, data, ending):
    """With OpenJPEG as a shared library, and without it."""
    if found and openjpeg.library() is None:
        pytest.skip("no shared library of OpenJPEG here: areas are cut out of whole tiles")
    index, _ = member(product, ending)
    tile = data.draw(st.integers(0, 3))
    ((start, length),) = index.parts([tile])
    stream = index.header.alone(tile, index.place.read(start, length), 0)
    whole = openjpeg.decode(stream)
    top, left = (data.draw(st.integers(0, size - 1)) for size in whole.shape[1:])
    bottom, right = data.draw(st.integers(top + 1, whole.shape[1])), data.draw(st.integers(left + 1, whole.shape[2]))
    with pytest.MonkeyPatch.context() as patch:
        if not found:
            patch.setattr(openjpeg, "library", lambda: None)
        area = openjpeg.decode(stream, (top, left, bottom, right))
        assert area.dtype == whole.dtype
        np.testing.assert_array_equal(area, whole[:, top:bottom, left:right])
        for broken in (stream[: len(stream) // 2], stream[:40], b""):
            with pytest.raises(openjpeg.Undecodable):
                openjpeg.decode(broken, (top, left, bottom, right))


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), ending=st.sampled_from(["_B04.jp2", "_TCI.jp2"]), level=st.integers(0, 1))
def test_areas_of_an_open_tile_are_parts_of_the_whole_in_any_order(product, data, ending, level):
    if openjpeg.library() is None:
        pytest.skip("no shared library of OpenJPEG here: no tile stays open")
    index, _ = member(product, ending)
    ((start, length),) = index.parts([0])
    stream = index.header.alone(0, index.place.read(start, length), level)
    whole, tile = openjpeg.decode(stream), open_tile.OpenTile(stream)
    for _ in range(data.draw(st.integers(2, 6))):
        top, left = (data.draw(st.integers(0, size - 1)) for size in whole.shape[1:])
        bottom, right = (
            data.draw(st.integers(top + 1, whole.shape[1])),
            data.draw(st.integers(left + 1, whole.shape[2])),
        )
        np.testing.assert_array_equal(tile.area((top, left, bottom, right)), whole[:, top:bottom, left:right])


def test_next_area_of_an_open_tile_needs_no_bytes_and_another_way_if_that_fails(product, monkeypatch):
    if openjpeg.library() is None:
        pytest.skip("no shared library of OpenJPEG here: no tile stays open")
    index, path = member(product, "_B04.jp2")
    file = image.Jpeg2000(index)
    with rasterio.open(path) as opened:
        whole = opened.read()

    def area(top: int, left: int) -> tuple[int, int]:
        """Compare an area with GDAL; return what was read, and how many code-blocks' areas were decoded."""
        rows, cols = (top, top + 200), (left, left + 200)
        before = traffic.bytes, len(decoded)
        np.testing.assert_array_equal(file.read(0, rows, cols, (rows, cols)), whole[:, slice(*rows), slice(*cols)])
        return traffic.bytes - before[0], len(decoded) - before[1]

    decoded: list[openjpeg.Area] = []
    decode = openjpeg.Decoder.decode

    def noted(decoder: openjpeg.Decoder, wanted: openjpeg.Area) -> np.ndarray:
        decoded.append(wanted)
        return decode(decoder, wanted)

    monkeypatch.setattr(openjpeg.Decoder, "decode", noted)
    assert area(0, 0)[0] > 0
    assert [area(0, 200), area(200, 0)] == [(0, 1), (0, 1)]
    assert area(200, 200) == (0, 0), "between its neighbours, it is there already"
    assert area(800, 800) == (0, 1)
    assert decoded[-1] == (800, 800, 1000, 1000), "far away: not what is between"

    def broken(decoder: openjpeg.Decoder, wanted: openjpeg.Area) -> np.ndarray:
        monkeypatch.setattr(openjpeg.Decoder, "decode", noted)
        raise openjpeg.Undecodable("not now")

    monkeypatch.setattr(openjpeg.Decoder, "decode", broken)
    assert area(400, 0)[0] > 0


def test_open_tiles_are_kept_within_a_limit_and_the_last_one_always():
    opened = tile_cache.Opened(100)
    for name in "abc":
        assert opened.keep(name, name.upper(), 40) == name.upper()
    assert [opened.get(name) for name in "abc"] == [None, "B", "C"]
    assert opened.keep("b", "another", 90) == "B", "who was first stays, with its new size"
    assert [opened.get(name) for name in "bc"] == ["B", None]
    opened.keep("d", "D", 1000)
    assert [opened.get(name) for name in "bd"] == [None, "D"]
    opened.drop("d")
    opened.drop("d")
    assert opened.keep("e", "E", 60) == opened.get("e") == "E"


def test_cube_decodes_of_a_tile_what_it_needs_and_chunks_share_it(on_disk, monkeypatch):
    decoded: list[int] = []
    decode = image.Jpeg2000._decoded

    def counted(*arguments: object) -> np.ndarray:
        pixels = decode(*arguments)
        decoded.append(pixels.size)
        return pixels

    monkeypatch.setattr(image.Jpeg2000, "_decoded", counted)
    items = gl.search("PEPS_S2_L1C", datetime="2021-06-05", bbox=(1.70, 43.5, 1.72, 43.7))
    source = bands.source(products.unpack(items[0]), "red")
    grid = source.geobox[900:1100, 950:1150]  # it cuts four tiles
    whole = gl.open_cube(items, bands=["red"]).red.compute(scheduler="sync")
    tile_cache.forget()
    decoded.clear()
    cube = gl.open_cube(items, bands=["red"], geobox=grid, chunks=64)
    part = cube.red.compute(scheduler="threads")
    np.testing.assert_array_equal(part.values, whole.sel(x=part.x, y=part.y, method="nearest").values)
    assert len(decoded) == 4, "each tile once, whatever the chunks"
    assert sum(decoded) == 200 * 200, "and of each what the cube needs"


def test_overview_asks_for_the_first_bytes_of_each_tile(product):
    index, _ = member(product, "_B04.jp2")
    size = sum(length for _, length in index.parts([0, 1, 2, 3]))
    for level, share in {4: 0.02, 3: 0.05}.items():
        before = traffic.bytes
        whole_or_part(index, (0, -(-1320 // 2**level)), (0, -(-1320 // 2**level)), level)
        assert traffic.bytes - before <= share * size


@pytest.mark.parametrize("level", [1, 2, 3])
def test_beginning_of_a_tile_that_ends_with_a_packet_is_not_the_whole(product, level):
    """A decoder takes the packets that are missing for empty, and says nothing."""
    index, _ = member(product, "_B04.jp2")
    ((start, length),) = index.parts([0])
    part = index.place.read(start, length)
    found = packets.read(index.header, 0, part, level)
    one = image.Jpeg2000(index)
    want = one.read(level, (0, 8), (0, 8))
    for packet in (p for resolution in found for p in resolution):
        tile_cache.forget()
        tile = image._Tile(0, None, level, start, length, (False, 0, level))
        pixels = one._decoded(tile, part[: packet.end])
        assert (pixels is None) == (packet is not found[-1][-1])
    np.testing.assert_array_equal(pixels[:, :8, :8], want)


def test_damaged_headers_of_packets_are_refused_at_once(product):
    """A length of millions of bits would be read for hours; a list of step sizes may be cut off."""
    index, _ = member(product, "_B04.jp2")
    ((start, _),) = index.parts([0])
    part = index.place.read(start, 64)
    begin = part[: part.index(b"\xff\x93") + 2]
    with pytest.raises(packets.TooShort):
        packets.read(index.header, 0, begin + b"\xff\x7f" * 2**22, 1)
    raw = index.header.raw
    steps = index.header.segment(0xFF5C)
    short = replace(index.header, raw=raw.replace(steps, b"\xff\x5c\x00\x02"))
    assert rough.planes(index.header, 1) is not None
    assert rough.planes(short, 1) is None


def test_beginning_of_a_tile_coded_in_an_unknown_way_is_not_the_whole(product, monkeypatch):
    index, _ = member(product, "_B04.jp2")
    ((start, length),) = index.parts([0])
    part = index.place.read(start, length)
    end = packets.read(index.header, 0, part, 1)[-1][-1].end
    tile = image._Tile(0, None, 1, start, length, (False, 0, 1))
    monkeypatch.setattr(packets, "_layout", lambda *_: None)
    assert image.Jpeg2000(index)._decoded(tile, part[:end]) is None
    assert image.Jpeg2000(index)._decoded(tile, part) is not None


@pytest.mark.parametrize("level", [1, 3])
def test_rough_overview_is_near_and_the_whole_without_planes_to_spare(product, level, monkeypatch):
    index, _ = member(product, "_B04.jp2")
    rows, cols = (-(-size // 2**level) for size in index.header.size)
    exact = whole_or_part(index, (0, rows), (0, cols), level).astype(int)
    found = image.Jpeg2000(index).read_roughly(level, (0, rows), (0, cols)).astype(int)
    assert 0 < np.abs(found - exact).max() <= rough.SLACK
    monkeypatch.setattr(rough, "PLANES", (0, 0, 0))
    tile_cache.forget()
    np.testing.assert_array_equal(image.Jpeg2000(index).read_roughly(level, (0, rows), (0, cols)), exact)
    colours, _ = member(product, "_TCI.jp2")
    np.testing.assert_array_equal(
        image.Jpeg2000(colours).read_roughly(1, (0, 99), (0, 99)), whole_or_part(colours, (0, 99), (0, 99), 1)
    )


def test_index_is_small_survives_and_stands_many_writers(product):
    def build(_: int) -> list[tuple[int, int]]:
        return member(product, "_B04.jp2")[0].parts([3])

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(build, range(32)))
    assert all(r == results[0] for r in results)
    files = [p for p in Path(dask.config.get("geodes_lab.cache.folder"), "index").rglob("*") if p.is_file()]
    assert len(files) == 1
    assert files[0].stat().st_size < 1000
    before = traffic.requests
    assert member(product, "_B04.jp2")[0].parts([3]) == results[0]
    assert traffic.requests == before, "neither the list of members nor the band"
    files[0].write_bytes(files[0].read_bytes()[:-1])  # damaged: built anew
    assert member(product, "_B04.jp2")[0].parts([3]) == results[0]


def test_replaced_file_has_a_new_index(altered, product):
    first = gl.open_cube([product], bands=["red"]).red.values

    def swap(name: str, data: bytes) -> bytes:
        other = name.replace("_B04.jp2", "_B08.jp2")
        return zipfile.ZipFile(product).read(other) if name.endswith("_B04.jp2") else data

    assert not np.array_equal(gl.open_cube([altered(swap)], bands=["red"]).red.values, first)


def test_replaced_object_has_a_new_index_too(on_s3, sample, product, caplog):
    """On S3 nothing tells that an object is new but its bytes: tiles are not where they were."""
    caplog.set_level("INFO", "geodes_lab.formats")
    bucket = sample / "datalake" / "replaced"
    bucket.mkdir(exist_ok=True)
    path = bucket / product.name
    other = next((sample / "datalake").glob("sentinel2-l1c/31/T/DJ/2021/06/20/*.zip"))
    try:
        for source in (product, other):
            tile_cache.forget()
            with zipfile.ZipFile(source) as archive, zipfile.ZipFile(path, "w") as new:
                name = next(n for n in archive.namelist() if n.endswith("_B04.jp2") and "IMG_DATA" in n)
                new.writestr("a.jp2", archive.read(name))
                stored = (new.getinfo("a.jp2").header_offset, 10**9)  # of one size, as if padded
            with rasterio.open(f"/vsizip/{path}/a.jp2") as file:
                want = file.read()
            index = image.open(locate(f"s3://replaced/{path.name}"), stored, 0).index
            np.testing.assert_array_equal(whole_or_part(index, (0, 1320), (0, 1320)), want)
        assert f"The index of 'replaced/{path.name}' is built again" in caplog.text
    finally:
        path.unlink()
        bucket.rmdir()


def test_compressed_members_are_left_to_gdal_with_the_same_pixels(product, tmp_path, caplog):
    caplog.set_level("INFO", "geodes_lab.reading")
    path = tmp_path / product.name
    with zipfile.ZipFile(product) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    near = gl.open_cube([product], bands=["red"]).red.compute(scheduler="sync")
    assert set(window.ways) == {"tiles"}
    np.testing.assert_array_equal(gl.open_cube([path], bands=["red"]).red.compute(scheduler="sync"), near)
    assert window.ways["gdal"] == 4
    assert "is read by GDAL, not by tiles: 'the member is compressed'" in caplog.text


def test_compressed_members_on_s3_come_through_gdal_whole(sample, s3, product, monkeypatch):
    """A window over several tiles: GDAL's own threads would lose the endpoint, and fill with zeros."""
    bucket = sample / "datalake" / "deflated"
    bucket.mkdir(exist_ok=True)
    path = bucket / product.name
    with zipfile.ZipFile(product) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    try:
        with dask.config.set({"geodes_lab.datalake.mirror": None, "geodes_lab.datalake.endpoint": s3}):
            far = gl.open_cube([f"s3://deflated/{product.name}"], bands=["red"], chunks=4000).red.compute(
                scheduler="threads"
            )
    finally:
        path.unlink()
        bucket.rmdir()
    assert window.ways["gdal"] == 1
    np.testing.assert_array_equal(far, gl.open_cube([product], bands=["red"]).red.compute(scheduler="sync"))


def test_coarse_cube_is_read_from_overviews_and_has_no_data_where_the_image_has_none(on_disk):
    items = gl.search("PEPS_S2_L1C", datetime="2021-08-14")
    fine = gl.open_cube(items, bands=["nir"]).nir.isel(time=0).compute(scheduler="sync")
    coarse, exact = (
        gl.open_cube(items, bands=["nir"], resolution=80, overviews=o).nir.isel(time=0).compute(scheduler="sync")
        for o in (True, False)
    )
    assert coarse.shape == (165, 207)
    np.testing.assert_array_equal(np.isnan(coarse.values), np.isnan(exact.values))
    assert 0.2 < np.isfinite(coarse.values).mean() < 0.7
    # The low-pass of the wavelet is not a block mean, but near it: 0.008 in half of the pixels of this landscape.
    mean = fine.coarsen(y=8, x=8, boundary="pad").reduce(np.mean)
    assert np.nanmedian(np.abs(coarse.values - mean.values)) < 0.01


def test_warp_by_tiles_is_gdals_warp(product):
    item = products.unpack(product)
    source = bands.source(item, "red")
    grid = GeoBox.from_bbox((1.80, 43.57, 1.84, 43.60), "EPSG:4326", resolution=0.0001)
    for way in ("nearest", "bilinear", "cubic"):
        mine, valid = window.read(source, grid, way)
        theirs, there, *_ = gdal.numbers(source, grid, rasterio.enums.Resampling[way])
        np.testing.assert_array_equal(valid, there)
        # GDAL approximates the transformation to an eighth of a pixel, from where its window begins.
        close = np.abs(mine - theirs * source.scale) < 2e-3
        assert close.mean() > 0.98


class Failing(Ranged):
    """Every third request fails: refused for a while, or cut short."""

    count = 0

    def do_GET(self) -> None:
        type(self).count += 1
        if self.count % 3 == 0:
            self.send_response(503 if self.count % 2 else 500)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()


@pytest.fixture
def failing(sample: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Failing, directory=str(sample / "datalake")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_requests_that_fail_are_tried_again_and_the_pixels_are_the_same(failing, product, sample):
    url = f"{failing}/{product.relative_to(sample / 'datalake')}"
    far = gl.open_cube([url], bands=["red"], bbox=(1.80, 43.58, 1.83, 43.60)).red.compute(scheduler="threads")
    near = gl.open_cube([product], bands=["red"], bbox=(1.80, 43.58, 1.83, 43.60)).red.compute(scheduler="threads")
    assert Failing.count > 5
    np.testing.assert_array_equal(far, near)


def test_real_files_of_esa(shared):
    """JPEG 2000 files among the reference data: what is read by tiles is what GDAL reads."""
    understood = 0
    for path in sorted((shared / "sentinel2-l2a-33TWL").rglob("*.jp2")):
        with rasterio.open(path) as file:
            if file.width * file.height > 4e6:
                continue  # whole masks of 10980²: the same coding, minutes of comparing
            want = file.read()
        try:
            index = Index(locate(path))
            found = whole_or_part(index, (0, want.shape[1]), (0, want.shape[2]))
        except NotUnderstood:
            continue
        understood += 1
        np.testing.assert_array_equal(found, want)
    assert understood > 10


def test_file_that_was_replaced_gives_its_own_pixels(product, tmp_path):
    """Under the same name: what was decoded of the old one is not taken for the new."""
    with zipfile.ZipFile(product) as archive:
        names = [n for n in archive.namelist() if n.endswith(("_B04.jp2", "_B03.jp2")) and "IMG_DATA" in n]
        path = tmp_path / "a.jp2"
        for name in names:
            path.write_bytes(archive.read(name))
            with rasterio.open(path) as file:
                want = file.read(1)
            found = gl.open_product(path)["r10m"]
            np.testing.assert_array_equal(next(iter(found.data_vars.values())), want)


def test_file_that_ends_within_a_tile_is_an_error_and_no_hang(product, tmp_path):
    with zipfile.ZipFile(product) as archive:
        data = archive.read(next(n for n in archive.namelist() if n.endswith("_B04.jp2") and "IMG_DATA" in n))
    (tmp_path / "a.jp2").write_bytes(data[:-2000])
    index = Index(locate(tmp_path / "a.jp2"))
    with pytest.raises((OSError, NotUnderstood)):
        whole_or_part(index, (0, 1320), (0, 1320))


def test_forked_child_reads_too(on_disk):
    """torch's DataLoader and multiprocessing fork: none of our threads is there in the child."""
    cube = gl.open_cube(gl.search("PEPS_S2_L1C")[:1], bands=["red"], chunks=256)
    before = cube.red[0, :256, :256].compute(scheduler="sync")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        try:
            same = np.array_equal(cube.red[0, :256, :256].compute(scheduler="sync"), before)
            other = cube.red[0, 1100:, 1100:].compute(scheduler="sync")
            os._exit(0 if same and np.isfinite(other).any() else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
