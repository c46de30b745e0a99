"""Searches: Items that tell the truth, made from what GEODES says."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

import pystac
import pytest

import geodes_lab as gl
from geodes_lab.catalog import truthful


def test_datetime_is_the_acquisition(on_disk):
    item = gl.search("PEPS_S2_L1C", datetime="2021-07-15", latest=False)[-1]
    assert item.datetime == datetime(2021, 7, 15, 10, 50, 31, 24000, tzinfo=UTC)
    assert item.properties["published"].startswith("2023-02-07")


@pytest.mark.parametrize(
    ("when", "count"),
    [
        ("2021-06", 6),
        ("2021-06/2021-07", 11 - 1 + 2),
        ("2021-06-05", 2),
        ("2021-06-05T10:50:31.024Z", 2),
        ("../2021-06-10", 4),
        ("2021-08-20/..", 2),
        ("2020", 0),
    ],
)
def test_dates_mean_what_they_mean_in_any_stac_search(on_disk, when, count):
    assert len(gl.search("PEPS_S2_L1C", datetime=when)) == count


def test_place_clouds_latest_limit(on_disk):
    assert len(gl.search("PEPS_S2_L1C", bbox=(1.70, 43.5, 1.72, 43.7))) == 9  # west of the other tile
    area = {"type": "Polygon", "coordinates": [[[1.7, 43.5], [1.72, 43.5], [1.72, 43.7], [1.7, 43.7], [1.7, 43.5]]]}
    assert len(gl.search("PEPS_S2_L1C", intersects=area)) == 9
    assert len(gl.search("PEPS_S2_L1C", bbox=(10, 43, 11, 44))) == 0
    assert {i.properties["eo:cloud_cover"] for i in gl.search("PEPS_S2_L1C", cloud_cover=10)} == {0.0, 5.0}
    assert len(gl.search("PEPS_S2_L1C")) == 18
    assert len(gl.search("PEPS_S2_L1C", latest=False)) == 19
    assert len(gl.search("PEPS_S2_L1C", limit=3)) == 3


def test_several_collections_come_in_order_of_acquisition(on_disk):
    items = gl.search(["PEPS_S3_L1", "PEPS_S1_L1", "PEPS_S2_L1C"])
    assert {i.collection_id for i in items} == {"PEPS_S3_L1", "PEPS_S1_L1", "PEPS_S2_L1C"}
    assert [i.datetime for i in items] == sorted(i.datetime for i in items)


def test_size_and_checksum_are_those_of_the_file(on_disk, sample):
    item = gl.search("PEPS_S1_L1")[0]
    asset = item.assets["product"]
    path = sample / "datalake" / asset.href.removeprefix("https://s3.datalake.cnes.fr/")
    assert asset.extra_fields["file:size"] == path.stat().st_size
    assert asset.extra_fields["file:checksum"] == "d50110" + hashlib.md5(path.read_bytes()).hexdigest()
    assert "eo:cloud_cover" not in item.properties
    assert item.properties["sar:polarizations"] == ["VV", "VH"]


def test_real_answer_of_geodes_becomes_true(shared):
    answer = json.loads((shared / "geodes" / "search_response_PEPS_S2_L1C_eodag_test.json").read_text())
    item = truthful(pystac.Item.from_dict(answer["features"][0]))
    assert item.id == "S2A_MSIL1C_20250402T175741_N0511_R141_T14ULD_20250403T022035"
    assert item.datetime == datetime(2025, 4, 2, 17, 57, 41, 24000, tzinfo=UTC)
    assert item.properties["published"] == "2025-04-03T09:00:26.809000Z"
    assert item.properties["grid:code"] == "MGRS-14ULD"
    assert "sar:instrument_mode" not in item.properties
    product = item.assets["product"]
    assert product.href.startswith("https://s3.datalake.cnes.fr/sentinel2-l1c/14/U/LD/")
    assert product.extra_fields["file:size"] == 764210185
    assert product.extra_fields["file:checksum"] == "d5011086f828c4c7e921615d1cd0476604f780"
    assert "/api/download/" in product.extra_fields["alternate"]["https"]["href"]


def test_items_are_valid_stac(on_disk):
    for name in ("PEPS_S1_L1", "PEPS_S2_L1C", "PEPS_S3_L1"):
        item = gl.search(name)[0]
        # The core schema alone: those of the extensions lie on the internet.
        item.stac_extensions = []
        item.validate()


def test_foreign_items_stay_as_they_are(shared):
    path = next((shared / "odc-stac-items").glob("*.json"))
    content = json.loads(path.read_text())
    features = content.get("features", [content])
    item = pystac.Item.from_dict(features[0])
    assert truthful(item) is item
