"""Tiles of products in place: rasterio's own warp of the extracted file says what is in them, and GDAL what a picture is."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from morecantile import Tile
from rasterio.io import MemoryFile
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from rio_tiler.errors import PointOutsideBounds, TileOutsideBounds
from scipy.ndimage import binary_dilation

import geodes_lab as gl
from geodes_lab.errors import GeodesError
from geodes_lab.tiling import colours, drawing, presets
from geodes_lab.tiling.layer import Layer, layer
from geodes_lab.tiling.reader import LabReader
from geodes_lab.tiling.scene import Scene
from geodes_lab.xyz import colormaps, stretch

REFLECTANCES = {"PEPS_S2_L1C", "SENTINEL2_L2A", "THEIA_REFLECTANCE_SENTINEL2_L2A", "THEIA_REFLECTANCE_VENUS_VM5_L2A"}
REFLECTANCES |= {"THEIA_SWH-PHASE1_SPOT4_L1C", "THEIA_SWH-PHASE1_SPOT1_L1C"}
# Each family that has a map, and what is drawn of it if nothing is said.
FAMILIES = {
    "PEPS_S1_L1": ["gamma0_vv"],
    "PEPS_S2_L1C": ["B04", "B03", "B02"],
    "SENTINEL2_L2A": ["B04", "B03", "B02"],
    "SWH_SPOT4_L1": ["nir"],
    "THEIA_OSO_RASTER_L3B": ["land_cover"],
    "THEIA_POSTEL_VEGETATION_LAI": ["LAI"],
    "THEIA_REFLECTANCE_SENTINEL2_L2A": ["FRE_B4", "FRE_B3", "FRE_B2"],
    "THEIA_REFLECTANCE_VENUS_VM5_L2A": ["FRE_B7", "FRE_B4", "FRE_B3"],
    "THEIA_S1TILING_SENTINEL1_L1": ["vv"],
    "THEIA_SWH-PHASE1_SPOT1_L1C": ["nir"],
    "THEIA_SWH-PHASE1_SPOT4_L1C": ["nir"],
}


USUAL = {
    "PEPS_S1_L1": {"gamma0-vv-decibel"},
    "THEIA_OSO_RASTER_L3B": {"land_cover"},
    "THEIA_POSTEL_VEGETATION_LAI": {"LAI"},
    "THEIA_S1TILING_SENTINEL1_L1": {"vv-decibel"},
}


def middle(reader: LabReader, zoom: int) -> Tile:
    west, south, east, north = reader.get_geographic_bounds(rasterio.CRS.from_epsg(4326))
    return reader.tms.tile((west + east) / 2, (south + north) / 2, zoom)


@pytest.fixture
def scene(product: Path, on_disk: Path) -> Scene:
    return Scene([str(product)])


def warped(path: str, reader: LabReader, tile: Tile, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The file's numbers on a tile, by GDAL without its approximation, and the number for no data."""
    bounds = reader.tms.xy_bounds(tile)
    with (
        rasterio.open(path) as file,
        WarpedVRT(
            file, crs="EPSG:3857", transform=from_bounds(*bounds, side, side), width=side, height=side, nodata=0,
            src_nodata=0, tolerance=1e-6,
        ) as virtual,
    ):  # fmt: skip
        return virtual.read(1), virtual.read_masks(1) > 0


def test_tile_is_gdals_warp_of_the_extracted_file(scene, product, tmp_path):
    reader = LabReader(scene, layer=Layer(("B04",)))
    with zipfile.ZipFile(product) as archive:
        member = next(n for n in archive.namelist() if n.endswith("_B04.jp2"))
        extracted = archive.extract(member, tmp_path)
    for zoom in (14, 15, 16):
        tile = middle(reader, zoom)
        for near in (tile, Tile(tile.x + 1, tile.y - 1, zoom)):
            image = reader.tile(*near[:2], near[2], tilesize=256)
            numbers, there = warped(extracted, reader, near, 256)
            mine = ~image.array.mask[0]
            assert (mine == there).mean() > 0.9999  # a pixel's centre may lie on an edge
            both = mine & there
            assert both.mean() > 0.5
            off = np.abs(image.array.data[0] - numbers * 1e-4)[both]
            assert (off < 1e-6).mean() > 0.999
    whole = reader.preview(max_size=165)  # an eighth: the overview of the file, of which GDAL has the same numbers
    assert whole.array.shape == (1, 165, 165)
    assert not whole.array.mask.all()


def test_no_pixel_beside_missing_data_is_drawn_that_is_mixed_with_it(sample, on_disk, tmp_path):
    """A swath edge, of which overviews mix the 0 for no data with numbers whose offset is -1000: too dark by 0.1."""
    item = gl.search("PEPS_S2_L1C", datetime="2021-08-14")[0]
    place = next((sample / "datalake").rglob(f"{item.id}.zip"))
    with zipfile.ZipFile(place) as archive:
        extracted = archive.extract(next(n for n in archive.namelist() if n.endswith("_B04.jp2")), tmp_path)
    with rasterio.open(extracted) as file:
        numbers, transform = file.read(1), file.transform
    missing = numbers == 0
    assert 0.1 < missing.mean() < 0.9
    reader, drawn = LabReader(Scene([item]), layer=Layer(("B04",))), 0
    for zoom, level in ((10, 3), (11, 2), (12, 1)):
        # As far as the wavelet reaches; and what is left out is as far from data as that, twice, at most.
        reach, most = 2 ** (level + 1) - 2, 9 * 2**level
        mixed, beside = (binary_dilation(missing, np.ones((3, 3)), iterations=by) for by in (reach, most))
        for tile in reader.tms.tiles(*reader.get_geographic_bounds(rasterio.CRS.from_epsg(4326)), zooms=[zoom]):
            image = reader.tile(tile.x, tile.y, zoom, tilesize=256)
            to = from_bounds(*reader.tms.xy_bounds(tile), 256, 256)
            down, across = np.indices((256, 256)).reshape(2, -1) + 0.5
            x, y = rasterio.warp.transform("EPSG:3857", "EPSG:32631", *(to * (across, down)))
            cols, rows = (np.floor(v).astype(int) for v in ~transform * (np.array(x), np.array(y)))
            inside = (rows >= 0) & (rows < 1320) & (cols >= 0) & (cols < 1320)
            # The overview's pixel is the one of its block's first.
            first = (rows[inside] >> level << level, cols[inside] >> level << level)
            shown = ~image.array.mask[0].ravel()
            assert not shown[~inside].any()
            assert not (shown[inside] & mixed[first]).any()
            assert (shown[inside] | beside[first]).all()
            values = image.array.data[0].ravel()[shown]
            assert values.size == 0 or values.min() > -0.02  # water beside clouds undershoots; fringes were at -0.1
            drawn += values.size
    assert drawn > 10_000


@pytest.mark.parametrize("collection", FAMILIES)
def test_each_family_that_has_a_map(collection, on_disk):
    scene = Scene([gl.search(collection)[0]])
    reader = LabReader(scene)
    assert reader.layer.titles == FAMILIES[collection]
    image = reader.preview(max_size=64)
    assert 0.2 < (~image.array.mask).mean() <= 1
    content, media = drawing.picture(image, "png")
    with MemoryFile(content) as file, file.open() as picture:
        assert media == "image/png"
        assert picture.read(1).std() > 0
    tile = middle(reader, reader.maxzoom)
    assert not reader.tile(tile.x, tile.y, tile.z).array.mask.all()
    west, south, east, north = reader.get_geographic_bounds(rasterio.CRS.from_epsg(4326))
    assert reader.point((west + east) / 2, (south + north) / 2).count == len(FAMILIES[collection])
    ways = presets.presets(scene)
    assert json.dumps(ways)
    # A product without a usual way is drawn band by band: the one that shows most of it is the first.
    way = next(iter(ways))
    assert way in USUAL.get(collection, {"true-colour", "false-colour"})
    assert LabReader(scene, layer=layer(**{k: v for k, v in ways[way].items() if k in ("bands", "expression")}))
    # Reflectances have the range of land, so that clouds do not darken it; radiances and pictures that of their percentiles.
    assert ("rescale" in ways.get("false-colour", {})) is (collection in REFLECTANCES)


def test_expression_mask_and_point_agree_with_the_cube(scene, product):
    reader = LabReader(scene, layer=layer(expression=["(B08 - B04) / (B08 + B04)"]))
    cube = gl.open_cube([str(product)], bands=["B08", "B04"]).isel(time=0)
    row, col = 300, 700
    x, y = float(cube.x[col]), float(cube.y[row])
    (lon,), (lat,) = rasterio.warp.transform("EPSG:32631", "EPSG:4326", [x], [y])
    here = cube.isel(x=col, y=row).compute()
    expected = float((here.B08 - here.B04) / (here.B08 + here.B04))
    assert reader.point(lon, lat).array[0] == pytest.approx(expected, abs=1e-6)
    box = cube.odc.geobox.boundingbox.bbox
    masked = LabReader(scene, layer=layer(bands=["B04"], mask=["cloud"])).part(box, width=1320, height=1320)
    clear = gl.open_cube([str(product)], bands=["B04"], mask="cloud").B04.isel(time=0).values
    np.testing.assert_array_equal(masked.array.mask[0], np.isnan(clear))
    np.testing.assert_array_equal(masked.array.data[0][~masked.array.mask[0]], clear[~np.isnan(clear)])
    with pytest.raises(PointOutsideBounds):
        reader.point(0, 0)
    with pytest.raises(TileOutsideBounds):
        reader.tile(0, 0, 12)
    with pytest.raises(TileOutsideBounds):
        reader.tile(10**8, 0, 3)


def test_mosaic_shows_the_first_product_that_has_data(on_disk):
    west, east = (gl.search("PEPS_S2_L1C", datetime="2021-06-05")[n] for n in (0, 1))
    both = LabReader(Scene([west, east]), layer=Layer(("B04",)))
    alone = [LabReader(Scene([one]), layer=Layer(("B04",))) for one in (west, east)]
    for tile in both.tms.tiles(*both.get_geographic_bounds(rasterio.CRS.from_epsg(4326)), zooms=[12]):
        image = both.tile(tile.x, tile.y, tile.z, tilesize=128)
        parts = []
        for reader in alone:
            try:
                parts.append(reader.tile(tile.x, tile.y, tile.z, tilesize=128).array)
            except TileOutsideBounds:
                parts.append(np.ma.masked_all((1, 128, 128), np.float32))
        first, second = parts
        expected = np.ma.where(~first.mask, first, second)
        np.testing.assert_array_equal(image.array.mask, np.ma.getmaskarray(expected))
        np.testing.assert_array_equal(image.array.compressed(), expected.compressed())


def test_classes_have_colours_and_a_legend(on_disk):
    reader = LabReader(Scene([gl.search("THEIA_OSO_RASTER_L3B")[0]]))
    classes, _ = reader.legend(None)
    image = reader.preview(max_size=100)
    content, _ = drawing.picture(image, "png")
    with MemoryFile(content) as file, file.open() as picture:
        pixels = np.moveaxis(picture.read()[:3], 0, -1)
    for number in np.unique(image.array.compressed()):
        shown = pixels[(image.array.data[0] == number) & ~image.array.mask[0]]
        assert {tuple(c) for c in shown} == {classes[int(number)].colour[:3]}
    for legend in (colours.legend_of(classes), colormaps.legend("viridis", -1, 1, "ndvi", 2.2)):
        with MemoryFile(legend) as file, file.open() as picture:
            pixels = picture.read()
            assert pixels.std() > 0
    # A number has the colour in the legend that it has on the map, with gamma too.
    half = stretch.bytes_of(np.ma.MaskedArray(np.full((1, 1, 1), 0.0, np.float32)), [(-1, 1)], 2.2)
    expected = colormaps.mapped(half[0], "viridis")[:, 0, 0].astype(int)
    assert np.abs(pixels[:, 26, 2 + 127].astype(int) - expected).max() <= 2


def test_stretch_is_what_it_says():
    values = np.ma.MaskedArray(np.linspace(0, 1, 101, dtype=np.float32).reshape(1, 1, 101))
    np.testing.assert_array_equal(stretch.bytes_of(values, [(0, 1)])[0, 0], np.rint(values.data[0, 0] * 255))
    assert stretch.bytes_of(values, [(0.5, 0.6)])[0, 0, [0, 50, 60, 100]].tolist() == [0, 0, 255, 255]
    assert stretch.bytes_of(values, [(0, 1)], gamma=2)[0, 0, 25] == 128  # the square root of a quarter
    assert stretch.from_statistics(values) == [pytest.approx((0.02, 0.98))]
    assert stretch.from_statistics(np.ma.masked_all((1, 2, 2))) == [(0.0, 1.0)]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: layer(bands=["a"] * 5), "at most 4 bands"),
        (lambda: layer(bands=["a"], expression=["b"]), "bands or expressions"),
        (lambda: layer(expression=["().__class__"]).names, "not allowed"),
        (lambda: layer(expression=["a**999"]).names, "not allowed"),
        (lambda: layer(expression=["+".join(f"b{n}" for n in range(20))]), "uses? 20 bands|use 20 bands"),
        (lambda: stretch.parsed(["0,nan"]), "LOWEST,HIGHEST"),
        (lambda: stretch.parsed(["1,0"]), "LOWEST,HIGHEST"),
        (lambda: colormaps.mapped(np.zeros((1, 1), np.uint8), "../x"), "no map of colours"),
    ],
)
def test_what_is_refused(made: Any, said: str):
    with pytest.raises(GeodesError, match=said):
        made()


def test_pictures_have_limits(scene):
    reader = LabReader(scene)
    with pytest.raises(GeodesError, match="at most 2048 pixels"):
        reader.preview(max_size=4096)
    with pytest.raises(GeodesError, match="with an area"):
        reader.part((0, 0, 0, 1))
    with pytest.raises(GeodesError, match="has no band 'nope'"):
        LabReader(scene, layer=Layer(("nope",)))
    with pytest.raises(GeodesError, match="one band or three"):
        drawing.picture(LabReader(scene, layer=Layer(("B02", "B03"))).preview(max_size=8), "png")
    assert drawing.picture(LabReader(scene, layer=Layer(("B02", "B03"))).preview(max_size=8), "npy")[1].endswith(
        "binary"
    )
