"""Each notebook from top to bottom in a real kernel of the lab; its numbers beside the truth that the sample is made of."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import nbformat
import numpy as np
import pytest

from docs import execute
from geodes_lab.sample import truth, waves
from geodes_lab.sample.sentinel1 import earthquake, grd
from geodes_lab.sample.sentinel3 import products
from tests.integration.browser.test_person import colours

NOTEBOOKS = execute.TOP / "notebooks"
pytest.importorskip("nbclient")


def rows(north: float, south: float) -> slice:
    return slice(round((truth.NORTH - north) / 10), round((truth.NORTH - south) / 10))


def cols(west: float, east: float) -> slice:
    return slice(round((west - truth.WEST) / 10), round((east - truth.WEST) / 10))


def ndvi(day: date, part: tuple[slice, slice], cloudiness: float = 0.0) -> np.ndarray:
    """What a perfect instrument would have seen."""
    red, nir = (truth.reflectance(band, 10, day, cloudiness=cloudiness)[part] for band in (3, 7))
    return (nir - red) / (nir + red)


@pytest.fixture(scope="module")
def run(sample: Path, tmp_path_factory) -> Callable[[str, str], object]:
    def executed(name: str, ask: str) -> object:
        (path,) = NOTEBOOKS.glob(f"{name}*.py")
        asked = f"import json as _json\nprint(_json.dumps({ask}))"
        notebook = execute.run(path, sample, tmp_path_factory.mktemp("home"), asked)
        told = json.loads("".join(o.text for o in notebook.cells.pop().outputs if o.output_type == "stream"))
        check(notebook)
        execute.keep(path, notebook)
        return told

    return executed


def check(notebook: nbformat.NotebookNode) -> None:
    """What is true of every notebook: no warning, no error that is not meant, pictures that show something, no address."""
    pictures = 0
    for cell in (c for c in notebook.cells if c.cell_type == "code"):
        assert cell.execution_count, cell.source
        assert not [o for o in cell.outputs if o.output_type == "error"], cell.source
        assert not [o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stderr"]
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                pictures += colours(base64.b64decode(data["image/png"])) > 20
            page = "".join(data.get("text/html", ""))
            loaded = re.findall(r"""<(?:script|link|img)[^>]+(?:src|href)=["'](https?:[^"']+)""", page)
            assert not [a for a in loaded if "127.0.0.1" not in a]
    assert pictures


@pytest.mark.slow
def test_01_ndvi_cube(run):
    told = run("01", "saved.ndvi.sel(x=slice(405_000, 406_000), y=slice(4_826_000, 4_825_000)).values.tolist()")
    part = rows(4_826_005, 4_824_995), cols(404_995, 406_005)
    for month, days in enumerate(([(5, 0), (10, 0.12)], [(5, 0), (15, 0), (25, 0.05)], [(4, 0), (14, 0), (29, 0.2)])):
        seen = [ndvi(date(2021, 6 + month, day), part, clouds) for day, clouds in days]
        found = np.array(told[month])
        want = np.median(seen, axis=0)
        if month == 2:  # the swath of the 14th ends near by
            continue
        assert found.shape == want.shape
        assert np.abs(found - want).max() < 0.005


@pytest.mark.slow  # as the other notebooks; a browser runs 01, 02 and 08 in test_person
def test_02_catalogue(run):
    told = run(
        "02",
        "[len(items), [i.properties['eo:cloud_cover'] for i in clear], [str(i.datetime) for i in clear], len(explorer.items), len(season), len(both)]",
    )
    found, clouds, times, explored, season, both = told
    assert (found, explored, season, both) == (16, 18, 18, 4)
    assert len(clouds) == 6
    assert all(c <= 10 for c in clouds)
    assert times == sorted(times, reverse=True)


@pytest.mark.slow  # as the other notebooks
def test_03_radiometry(run):
    told = run(
        "03",
        "[ndvi.values.tolist(), wrong.values.tolist(), cube.x.values[[0, -1]].tolist() + cube.y.values[[0, -1]].tolist(), str(cube.time.dt.strftime('%Y-%m-%d').values.tolist())]",
    )
    right, naive, (west, east, north, south), days = told
    part = rows(north + 5, south - 5), cols(west - 5, east + 5)
    for day, found, other in zip(json.loads(days.replace("'", '"')), right, naive, strict=True):
        if found is None or np.isnan(found):
            continue
        if day not in ("2021-06-10", "2021-07-25", "2021-08-29"):  # thin clouds stay
            assert found == pytest.approx(ndvi(date.fromisoformat(day), part).mean(), abs=0.001)
        assert (abs(found - other) > 0.03) == (day > "2021-07-06"), "the naive reading is wrong since baseline 04.00"


@pytest.mark.slow
def test_04_sentinel1_backscatter(run):
    looks, fields = run("04", "[looks, fields.vh.transpose('time', 'field').values.tolist()]")
    assert looks[0] == pytest.approx(4 * grd.LOOKS, rel=0.2), "four pixels of 10 m in one of 20 m"
    assert looks[1] == pytest.approx(5 * looks[0], rel=0.3)
    to_gamma = -10 * np.log10(np.cos(np.radians(grd.INCIDENCE)))
    for product, found in zip(grd.products(), fields, strict=True):
        want = [grd.decibels(kind, "VH", product.start.date()) + to_gamma for kind in (1, 2, 3)]
        assert found == pytest.approx(want, abs=0.35)


@pytest.mark.slow  # as the other notebooks
def test_05_sentinel3_tracks(run):
    told = run("05", "table.reset_index().values.tolist()")
    count = int((products.surface_type(products.products()[0].seconds) == 1).sum())
    assert [(cycle, records) for cycle, records, *_ in told] == [(72, count), (73, count)]
    for _, _, height, scatter in told:
        assert height == pytest.approx(260.0, abs=0.05)
        assert scatter < 0.05


@pytest.mark.slow
def test_06_spot_heritage(run):
    lake = (truth.land_cover(2021) == 6) & (truth.land_cover(1990) != 6)
    row, col = np.nonzero(lake)
    west, east = truth.WEST + 10.0 * (col.min() - 10), truth.WEST + 10.0 * (col.max() + 10)
    north, south = truth.NORTH - 10.0 * (row.min() - 10), truth.NORTH - 10.0 * (row.max() + 10)
    there = f"new_water.sel(x=slice({west}, {east}), y=slice({north}, {south}))"
    before, after, new, box = run(
        "06",
        "[float(before.sum()) * size, float(after.sum()) * size, "
        f"float({there}.sum()) * size, [float(v) for v in cube.rio.bounds()]]",
    )
    west, south, east, north = box
    inside = rows(min(north, truth.NORTH), south), cols(max(west, truth.WEST), east)
    want = [(truth.land_cover(year)[inside] == 6).sum() * 1e-4 for year in (1990, 2021)]
    assert [before, after] == pytest.approx(want, rel=0.12), "a river of six pixels has many mixed ones at its banks"
    # A pixel of 20 m at the shore is water or not by what it mixes: the lake has all whole pixels, and only those it touches.
    pixels = lake[: len(lake) // 2 * 2, : lake.shape[1] // 2 * 2].reshape(len(lake) // 2, 2, -1, 2)
    least, most = pixels.all(axis=(1, 3)).sum() * 4e-4, pixels.any(axis=(1, 3)).sum() * 4e-4
    assert 0.98 * least < new < 1.02 * most, "the blocks counted here may begin one pixel beside those of the cube"


@pytest.mark.slow
def test_07_scale(run):
    costs, dropped, greenest = run(
        "07",
        "[costs, report.table.query('dropped').index.tolist(), float(saved.ndvi.sel(x=slice(402_300, 402_900), y=slice(4_827_400, 4_826_900)).mean())]",
    )
    assert costs["60 m"]["MB"] < costs["10 m"]["MB"] / 5
    assert len(dropped) == 1
    forest = rows(4_827_400, 4_826_900), cols(402_300, 402_900)
    assert greenest == pytest.approx(ndvi(date(2021, 8, 4), forest).mean(), abs=0.03)


@pytest.mark.slow
def test_10_slopes(run):
    flat, rained, dry, looks = run(
        "10",
        "[[[float(v) for v in series[band]] for band in series if band.startswith('gamma0') and not band.endswith('std')],"
        " float(rain.where(rain.x < 445_000).median()), float(rain.where(rain.x > 448_000).median()), looks]",
    )
    assert rained > 1.5 > 0.4 > abs(dry)
    assert looks["after"] > 2 * looks["before"]
    ((first, second, third),) = flat
    assert second - 2 > first > third - 1


@pytest.mark.slow
def test_12_earthquake(run):
    late, trees_and_meadows, line, jumps = run(
        "12",
        "[pair.attrs['delay_seconds'], float((pair.coherence > 0.7).mean() / pair.coherence.notnull().mean()),"
        " centimetres.tolist(), float(np.nanpercentile(abs(jump), 90))]",
    )
    assert late == pytest.approx(earthquake.LATE, rel=0.05)
    assert 0.4 < trees_and_meadows < 0.8
    assert max(line) > 3
    assert min(line) < -3
    assert jumps > 0.1


@pytest.mark.slow
def test_09_harvest(run):
    wheat, maize, days = run("09", "[[float(v) for v in series['wheat']], [float(v) for v in series['maize']], dates]")
    assert days == ["2021-06-05", "2021-06-15", "2021-06-25", "2021-07-05", "2021-07-15"]
    assert wheat == sorted(wheat, reverse=True)
    assert wheat[0] > 1.5 > 3 * wheat[-1]
    assert maize[0] < 0.8 < 2 < maize[-1]
    for kind, values in ((1, wheat), (2, maize)):
        cover = [truth.green(kind, date.fromisoformat(day)) for day in days]
        assert np.corrcoef(cover, values)[0, 1] > 0.95


@pytest.mark.slow
def test_11_storm(run):
    ask = "[float(maps.smooth.max()), gl.altimetry.agreement(pairs, 'waves'), [float(v) for v in here.smooth], [float(v) for v in error], [str(t) for t in here.time.values], lon, lat]"
    highest, told, values, errors, times, lon, lat = run("11", ask)
    assert 7 < highest < 10
    assert abs(told["bias"]) < 0.3
    assert told["rmse"] < 0.6
    seconds = (np.array(times, "datetime64[s]") - np.datetime64(waves.BEGIN.replace(tzinfo=None), "s")).astype(float)
    truth_here = waves.wave_height(lon, lat, seconds)
    assert (np.abs(values - truth_here) < 2 * np.array(errors)).all()
    assert np.corrcoef(values, truth_here)[0, 1] > 0.97
