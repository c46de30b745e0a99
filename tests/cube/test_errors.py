"""Bad input, each with one sentence that names the thing: nothing comes back as zeros."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import dask
import pytest

import geodes_lab as gl
from geodes_lab.storage import request


def message(call: Callable[[], object]) -> str:
    with pytest.raises(gl.GeodesError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith((".", "?"))
    return text


def red(path: Path) -> object:
    return gl.open_cube([path], bands=["red"]).red.compute(scheduler="sync")


def test_unknown_collection_names_the_nearest(on_disk):
    assert "did you mean 'PEPS_S2_L1C'?" in message(lambda: gl.search("PEPS_S2_L1D"))


def test_unknown_band_names_the_product_and_its_bands(on_disk, product):
    text = message(lambda: gl.open_cube([product], bands=["nri"]))
    assert product.stem in text
    assert "did you mean 'nir'?" in text
    assert "B04" in text


def test_bbox_outside_every_product_says_where_they_are(on_disk, product):
    text = message(lambda: gl.open_cube([product], bands=["red"], bbox=(5, 45, 6, 46)))
    assert "(5, 45, 6, 46) does not overlap any product: they cover (1.7" in text


@pytest.mark.parametrize("bbox", [(2, 44, 1, 43), (1, 2, 3), (1, 43, 500, 44)])
def test_bbox_that_is_none(on_disk, product, bbox):
    assert "west, south, east, north" in message(lambda: gl.open_cube([product], bands=["red"], bbox=bbox))


def test_empty_search_is_no_error_but_an_empty_cube_is(on_disk):
    items = gl.search("PEPS_S2_L1C", datetime="1999")
    assert len(items) == 0
    assert "the search found nothing" in message(lambda: gl.open_cube(items, bands=["red"]))


def test_truncated_zip(product, tmp_path):
    path = tmp_path / product.name
    path.write_bytes(product.read_bytes()[:1_000_000])
    assert f"{path} is cut off after 1000000 bytes" in message(lambda: red(path))


@pytest.mark.parametrize("content", [b"", b"<html>quota</html>"])
def test_no_zip_at_all(tmp_path, content):
    path = tmp_path / "S2A_MSIL1C_20210605T105031_N0300_R051_T31TCJ_20210605T125936.zip"
    path.write_bytes(content)
    sentence = f"is not a zip ({len(content)} bytes)" if content else "is empty (0 bytes), not a zip"
    assert sentence in message(lambda: red(path))


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("_B04.jp2", "its metadata list B04, but the file is missing"),
        ("MTD_TL.xml", "MTD_TL.xml"),
        ("MTD_MSIL1C.xml", "MTD_MSIL1C.xml"),
    ],
)
def test_member_is_missing(altered, missing, said):
    def drop(name: str, data: bytes) -> bytes | None:
        return None if name.endswith(missing) and "QI_DATA" not in name else data

    assert said in message(lambda: red(altered(drop)))


@pytest.mark.parametrize("member", ["MTD_TL.xml", "MTD_MSIL1C.xml"])
def test_malformed_xml(altered, member):
    assert f"{member} of " in message(lambda: red(altered(lambda n, d: d[:400] if n.endswith(member) else d)))


def test_xml_without_a_grid(altered):
    def cut(name: str, data: bytes) -> bytes:
        return data.replace(b"ULX>", b"XXX>") if name.endswith("MTD_TL.xml") else data

    assert "does not give the position of its grid" in message(lambda: red(altered(cut)))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.5, 0.8, 0.99])
def test_jpeg_2000_cut_in_the_middle(altered, product, share):
    def cut(name: str, data: bytes) -> bytes:
        return data[: int(share * len(data))] if "IMG_DATA" in name and name.endswith("_B04.jp2") else data

    text = message(lambda: red(altered(cut)))
    assert f"Band B04 of {product.stem} could not be read at (" in text


def test_file_that_contradicts_its_metadata(altered):
    def shift(name: str, data: bytes) -> bytes:
        return data.replace(b"<ULX>396600<", b"<ULX>296600<") if name.endswith("MTD_TL.xml") else data

    assert "does not agree with its metadata: the file begins at (396600" in message(lambda: red(altered(shift)))


def test_path_that_climbs_out_of_its_zip(tmp_path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../etc/passwd", "x")
    assert "leads out of the zip: refused" in message(lambda: gl.open_product(path))


def test_metadata_that_inflates_without_end(altered):
    bomb = b" " * (80 * 2**20)
    text = message(lambda: red(altered(lambda n, d: bomb if n.endswith("MTD_TL.xml") else d)))
    assert "metadata are never so large" in text


def test_nothing_there(tmp_path):
    assert "does not exist: check the path" in message(lambda: gl.open_product(tmp_path / "no.zip"))
    assert "not a product" in message(lambda: gl.open_product(tmp_path))
    assert "cannot be read in place" in message(lambda: gl.open_product("ftp://x/y.zip"))


def test_family_that_is_not_known(on_disk):
    item = gl.search("PEPS_S1_L1")[0]
    item.id = item.properties["identifier"] = "GRACE_L3"
    item.properties["product:type"] = "GRV"
    assert f"No product family can open {item.id} (GRV)" in message(lambda: gl.open_product(item))


def test_datalake_out_of_reach(on_disk):
    with dask.config.set({"geodes_lab.datalake.mirror": None}):
        text = message(lambda: gl.open_product(gl.search("PEPS_S2_L1C")[0]))
    assert "could not be fetched from https://geodes-portal.cnes.fr/" in text
    assert text.endswith("the datalake, http://127.0.0.1:9, does not answer either.")


def test_object_out_of_reach(on_disk, monkeypatch):
    monkeypatch.setattr(request, "_PAUSE", 0.001)  # how often it is asked again counts, not how long that takes
    text = message(lambda: gl.open_product("s3://sentinel2-l1c/31/none.zip"))
    assert text.startswith("Could not find s3://sentinel2-l1c/31/none.zip on http://127.0.0.1:9")


def test_object_that_is_not_on_s3(on_s3):
    assert "does not exist on http://127.0.0.1" in message(lambda: gl.open_product("s3://sentinel2-l1c/31/none.zip"))


def test_keys_that_are_refused(on_s3, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    text = message(lambda: gl.open_product(gl.search("PEPS_S2_L1C")[0]))
    assert "refused the keys" in text
    assert "wrong" not in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"crs": "EPSG:3857"}, "give resolution= too"),
        ({"crs": "nonsense"}, "is not a CRS"),
        ({"resolution": -1}, "more than 0"),
        ({"resampling": "bilinaer"}, "did you mean 'bilinear'?"),
        ({"groupby": "week"}, "'solar_day' or 'item'"),
        ({"bands": []}, "open_cube needs bands"),
        ({"chunks": 0}, "or 'auto', not 0"),
        ({"chunks": "many"}, "a number of pixels"),
        ({"resolution": (10, 0)}, "more than 0"),
        ({"crs": "EPSG:4326", "resolution": 10}, "larger than the whole cube"),
    ],
)
def test_arguments_without_meaning(on_disk, product, arguments, said):
    assert said in message(lambda: gl.open_cube([product], **{"bands": ["red"], **arguments}))


def test_things_that_are_no_products():
    assert "not int" in message(lambda: gl.open_product(3))
    assert "is not a STAC Item" in message(lambda: gl.open_product({"type": "Feature"}))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"datetime": "yesterday"}, "does not understand"),
        ({"bbox": (2, 41, 3, 40)}, "west, south, east, north"),
        ({"bbox": (1, 2, 3, 4), "intersects": {}}, "not both"),
        ({"limit": -1}, "at least 1, not -1"),
        ({"cloud_cover": (0, 10)}, "0 to 100, not (0, 10)"),
        ({"cloud_cover": 200}, "0 to 100, not 200"),
        ({"profile": "nowhere"}, "no catalogue profile 'nowhere'"),
        ({"url": os.devnull}, "cannot be opened"),
    ],
)
def test_searches_without_meaning(on_disk, arguments, said):
    assert said in message(lambda: gl.search("PEPS_S2_L1C", **arguments))


def test_local_catalogue_that_is_not_set():
    with dask.config.set({"geodes_lab.catalog.profiles.local.url": None}):
        assert "`make lab`" in message(lambda: gl.search("PEPS_S2_L1C"))
