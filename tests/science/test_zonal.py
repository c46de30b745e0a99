"""Statistics of zones, held against exactextract over the whole image and against areas that are known."""

from __future__ import annotations

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from affine import Affine
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

import geodes_lab as gl

METRES = GeoBox((120, 90), Affine(10, 0, 600_000, 0, -10, 4_850_000), "EPSG:32631")
DEGREES = GeoBox((90, 120), Affine(0.5, 0, -10, 0, -0.5, 70), "EPSG:4326")
ALL = ("mean", "std", "min", "max", "sum", "count")


def cube(grid: GeoBox, times: int = 3) -> xr.Dataset:
    rng = np.random.default_rng(7)
    values = rng.normal(1000, 3, (times, *grid.shape)).astype("float32")
    values[0, 40:60, 20:50] = np.nan
    time = pd.date_range("2021-06-01", periods=times)
    return xr.Dataset({"red": (("time", "y", "x"), values)}, {"time": time, **xr_coords(grid, dims=("y", "x"))})


def zones(grid: GeoBox) -> geopandas.GeoDataFrame:
    """Polygons that lie across pixels, chunks and the image's edge, a tiny one, and one beside it."""
    west, south, east, north = grid.boundingbox.bbox
    wide, high = east - west, north - south

    def at(*corners: tuple[float, float]) -> shapely.Polygon:
        return shapely.Polygon([(west + x * wide, north - y * high) for x, y in corners])

    shapes = [
        at((0.11, 0.13), (0.83, 0.21), (0.64, 0.77), (0.21, 0.58)), at((0.8, 0.8), (1.3, 0.8), (1.3, 0.9), (0.8, 0.95)),
        at((0.501, 0.501), (0.503, 0.501), (0.502, 0.504)), at((2, 2), (2.1, 2), (2.1, 2.1)),
    ]  # fmt: skip
    return geopandas.GeoDataFrame({"parcel": ["large", "edge", "tiny", "beside"]}, geometry=shapes, crs=grid.crs.epsg)


@pytest.mark.parametrize("grid", [METRES, DEGREES], ids=["metres", "degrees"])
@pytest.mark.parametrize("chunks", [None, 17])
def test_as_exactextract_over_the_whole_image(grid, chunks):
    data, frame = cube(grid), zones(grid)
    table = gl.zonal(
        data if chunks is None else data.chunk(y=chunks, x=chunks, time=2), frame, statistics=ALL, by="parcel"
    )
    weight = "(coverage_weight=area_spherical_m2)" if grid is DEGREES else ""
    west, south, east, north = grid.boundingbox.bbox
    for number, time in enumerate(data.time.values):
        image = NumPyRasterSource(
            data.red.values[number].astype(float), xmin=west, ymin=south, xmax=east, ymax=north, nodata=np.nan
        )
        ops = [f"mean{weight}", f"stdev{weight}", "min", "max", "sum", "count"]
        expected = exact_extract(image, frame, ops, output="pandas", include_cols=["parcel"]).set_index("parcel")
        expected.columns = list(ALL)
        found = table[(table.band == "red") & (table.time == time)].set_index("zone")
        for zone in ("large", "edge", "tiny"):
            np.testing.assert_allclose(
                found.loc[zone, list(ALL)].to_numpy(float), expected.loc[zone].to_numpy(float), rtol=2e-5, atol=1e-9
            )
        assert np.isnan(found.loc["beside", "mean"])
        assert found.loc["beside", "count"] == 0
        assert found.loc["beside", "covered"] == 0


@pytest.mark.parametrize("grid", [METRES, DEGREES], ids=["metres", "degrees"])
def test_share_that_has_data(grid):
    table = gl.zonal(cube(grid), zones(grid), by="parcel").set_index(["zone", "time"]).covered.unstack()
    assert table.loc["large"].iloc[1] == pytest.approx(1, abs=1e-3)
    assert table.loc["large"].iloc[0] < 0.9
    assert table.loc["edge"].iloc[1] == pytest.approx(0.45, abs=0.05)
    assert table.loc["tiny"].iloc[1] == pytest.approx(1, abs=1e-6)


def test_half_a_pixel_counts_by_half():
    data = cube(METRES, 1)
    box = shapely.box(600_205, 4_849_680, 600_220, 4_849_690)  # half of one pixel and all of the next
    row, first = data.red.values[0, 31], 20
    table = gl.zonal(data, geopandas.GeoSeries([box], crs=32631), statistics=["mean", "count"])
    assert table["count"].item() == pytest.approx(1.5)
    assert table["mean"].item() == pytest.approx((row[first] / 2 + row[first + 1]) / 1.5, rel=1e-7)


def test_only_chunks_with_a_zone_are_read():
    read = []
    data = cube(METRES, 1).chunk(y=10, x=10)
    data["red"].data = data.red.data.map_blocks(
        lambda b: read.append(1) or b, dtype="float32", meta=np.empty((0, 0, 0), "f4")
    )
    gl.zonal(data, geopandas.GeoSeries([shapely.box(600_205, 4_849_680, 600_220, 4_849_690)], crs=32631))
    assert len(read) == 1


def test_share_of_a_class_and_integers_with_a_fill():
    data = cube(METRES, 1)
    classes = (6 - 2 * (data.red > 1000)).astype("uint8")
    classes = classes.assign_attrs(flag_values=[4, 6], flag_meanings="wood water")
    box = geopandas.GeoSeries([shapely.box(600_100, 4_849_500, 600_300, 4_849_900)], crs=32631)
    with pytest.raises(gl.GeodesError, match=r"a mean of classes has no meaning.*== 4"):
        gl.zonal(classes.to_dataset(name="SCL"), box)
    share = gl.zonal(classes == 4, box)["mean"].item()
    assert share == pytest.approx((classes.values[0, 10:50, 10:30] == 4).mean())
    numbers = classes.astype("int16").assign_attrs({"_FillValue": 6, "flag_values": None})
    del numbers.attrs["flag_values"]
    assert gl.zonal(numbers, box)["mean"].item() == 4


def test_cube_of_products_and_zones_of_a_file(on_disk, tmp_path):
    """As a person has it: lazy, a file of parcels, a series in a table."""
    items = gl.search("PEPS_S2_L1C", datetime="2021-06", bbox=(1.7, 43.5, 1.9, 43.6), profile="local")
    data = gl.open_cube(items, bands=["red", "nir"], bbox=(1.75, 43.52, 1.80, 43.56))
    parcels = [shapely.box(1.76, 43.53, 1.77, 43.54), shapely.box(1.78, 43.53, 1.79, 43.55)]
    geopandas.GeoDataFrame({"name": ["a", "b"]}, geometry=parcels, crs=4326).to_file(tmp_path / "parcels.gpkg")
    table = gl.zonal(data, tmp_path / "parcels.gpkg")
    assert list(table.columns) == ["zone", "band", "time", "mean", "std", "count", "covered"]
    assert len(table) == 2 * 2 * data.sizes["time"]
    cut = gl.open_cube(items, bands=["red"], geometry=parcels[0], clip=True).red.mean(["y", "x"]).values
    assert table[(table.zone == "a") & (table.band == "red")]["mean"].values == pytest.approx(cut, rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"statistics": ["median"]}, "statistics is 'mean'"),
        ({"by": "commune"}, "is not a column of the zones; their columns are: parcel"),
        ({"zones": [shapely.box(2, 45, 3, 46)] * 2}, "No zone overlaps the cube"),
        ({"zones": geopandas.GeoDataFrame({"name": ["a", "a"]}, geometry=[shapely.box(2, 43, 3, 44)] * 2, crs=4326), "by": "name"}, "2 zones have the name 'a'"),
        ({"zones": shapely.LineString([(2, 43), (5, 44)])}, "has no area"),
    ],
)  # fmt: skip
def test_refused(arguments, sentence):
    with pytest.raises(gl.GeodesError, match=sentence):
        gl.zonal(**{"cube": cube(METRES), "zones": zones(METRES), **arguments})
