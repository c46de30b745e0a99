"""CDSE as a source: paging past its limit, faults of its downloads, redelivery, deletion, a subscription, outages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import geodes_lab as gl
from geodes_lab.acquisition.engine import Engine
from geodes_lab.acquisition.ledger.tables import products
from geodes_lab.acquisition.settings.sources import Cdse as Settings
from geodes_lab.acquisition.settings.wanted import Wanted
from geodes_lab.acquisition.sources import Request, odata
from geodes_lab.acquisition.sources.cdse import Cdse as Source
from geodes_lab.acquisition.status import status
from geodes_lab.errors import GeodesError
from tests.acquisition.conftest import Lake
from tests.support.acquisition.cdse import FAULTS, SUBSCRIPTION, Cdse, entry

DAY = "2021-06-0{}T12:00:00.000000Z"


@pytest.fixture
def cdse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cdse]:
    monkeypatch.setenv("TEST_CDSE_USER", "ada")
    monkeypatch.setenv("TEST_CDSE_PASSWORD", "pass word")
    with Cdse() as server:
        yield server


def engine(lake: Lake, cdse: Cdse, source: dict[str, Any] | None = None, **changes: Any) -> Engine:
    settings = {
        "sources": {"up": cdse.settings(**(source or {}))},
        "collections": {"S1": {"source": "up", "upstream": "SENTINEL-1"}},
        "schedule": {"retry": "0"},
    }
    return Engine(lake.config(**settings | changes))


def asked(source: Source, wanted: Wanted, position: str = "", overlap: float = 0.0) -> list[Any]:
    return list(source.look(Request("S1", wanted, None, None, None, overlap, dict), position))


def found(lake: Lake) -> dict[str, Any]:
    return {i.id: i for i in gl.search("S1", url=lake.catalogue, latest=False)}


def test_products_come_with_both_checksums(lake: Lake, cdse: Cdse, small: list[Path]) -> None:
    for number, path in enumerate(small, 1):
        cdse.publish(path, DAY.format(number))
    assert engine(lake, cdse).run().catalogued == 2
    item = found(lake)[small[0].stem]
    assert Path(item.assets["product"].href).read_bytes() == small[0].read_bytes()
    for word in ("MD5", "BLAKE3", "CRC-32", "size", "XML"):
        assert word in item.properties["geodes:verified"]
    assert (
        item.assets["product"].extra_fields["file:checksum"]
        == f"d50110{hashlib.md5(small[0].read_bytes()).hexdigest()}"
    )
    assert item.properties["published"].startswith("2021-06-01T12:00:00")
    assert item.properties["platform"] == "S1A"


def test_second_look_asks_only_for_what_is_new(lake: Lake, cdse: Cdse, small: list[Path]) -> None:
    cdse.publish(small[0], DAY.format(1))
    engine(lake, cdse).run()
    cdse.publish(small[1], DAY.format(2))
    cdse.requests.clear()
    assert engine(lake, cdse).run().found == 1
    (query,) = [q for path, q in cdse.requests if path == "/odata/v1/Products"]
    assert (
        "PublicationDate ge 2021-06-01T11:00:00.000000Z" in query["$filter"]
    )  # an hour before, since products come late
    assert len(found(lake)) == 2


@pytest.mark.parametrize("same", [1, 7, 100])
def test_paging_goes_past_the_limit(cdse: Cdse, monkeypatch: pytest.MonkeyPatch, same: int) -> None:
    monkeypatch.setattr("tests.support.acquisition.cdse.LIMIT", 300)
    for number in range(1000):
        minute = number // same
        time = f"2021-{1 + minute // 600 % 12:02d}-{1 + minute // 60 % 10:02d}T10:{minute % 60:02d}:00.000000Z"
        cdse.products.append(
            entry(f"S1A_IW_OCN__2SDV_20210606T173912_20210606T173937_{number:06d}_048289_5E6F", b"", time)
        )
    pages = asked(source(cdse, page=50, window=300), Wanted(source="up", upstream="SENTINEL-1"))
    ids = [p.id for page in pages for p in page.published]
    assert set(ids) == {p["Id"] for p in cdse.products}
    assert len(ids) <= 1000 + 1000 // 50 * 50


def test_more_at_one_moment_than_the_limit_is_said(cdse: Cdse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.acquisition.cdse.LIMIT", 100)
    for number in range(150):
        name = f"S1A_IW_OCN__2SDV_20210606T173912_20210606T173937_{number:06d}_048289_5E6F"
        cdse.products.append(entry(name, b"", DAY.format(1)))
    with pytest.raises(GeodesError, match=r"more than 100 products with the PublicationDate 2021-06-01T12:00:00Z"):
        asked(source(cdse, page=50, window=100), Wanted(source="up", upstream="SENTINEL-1"))


def source(cdse: Cdse, **changes: Any) -> Source:
    return Source("up", Settings.model_validate(cdse.settings(**changes)))


@pytest.mark.parametrize("fault", ["truncated", "short", "corrupt", "html", "busy", "error"])
def test_faults_of_a_download_pass(lake: Lake, cdse: Cdse, small: list[Path], fault: str) -> None:
    product = cdse.publish(small[0], DAY.format(1))
    cdse.faults[product["Id"]] = [FAULTS[fault]]
    running = engine(lake, cdse)
    running.run()
    running.run()
    assert Path(found(lake)[small[0].stem].assets["product"].href).read_bytes() == small[0].read_bytes()
    assert len(lake.objects()) == 1


@pytest.mark.parametrize("fault", ["short", "corrupt", "html"])
def test_faults_that_stay_are_refused(lake: Lake, cdse: Cdse, small: list[Path], fault: str) -> None:
    product = cdse.publish(small[0], DAY.format(1))
    cdse.faults[product["Id"]] = [FAULTS[fault]] * 20
    running = engine(lake, cdse, schedule={"retry": "0", "attempts": 2})
    assert running.run().refused == 1
    assert not lake.store.exists() or not lake.objects()
    assert small[0].stem in status(running.database).refused[0].reason
    cdse.faults.clear()
    running.leases.again()
    assert running.run().catalogued == 1


@pytest.mark.parametrize(("fault", "words"), [("quota", "quota"), ("tape", "on tape")])
def test_quota_and_tape_wait_and_count_nothing(
    lake: Lake, cdse: Cdse, small: list[Path], fault: str, words: str
) -> None:
    product = cdse.publish(small[0], DAY.format(1))
    cdse.publish(small[1], DAY.format(2))
    cdse.faults[product["Id"]] = [FAULTS[fault]]
    running = engine(lake, cdse, parallel=1, schedule={"attempts": 1})
    result = running.run()
    assert (result.postponed, result.refused) == (1, 0)
    assert result.catalogued == (0 if fault == "quota" else 1)  # of a source whose quota is used up, nothing is asked
    assert running.leases.next_time() is not None
    assert status(running.database).states["S1"]["waiting"] == (2 if fault == "quota" else 1)
    assert running.run().stored == 0
    assert words


def test_redelivery_under_another_id_is_the_same_product(lake: Lake, cdse: Cdse, small: list[Path]) -> None:
    cdse.publish(small[0], DAY.format(1))
    cdse.publish(small[0], DAY.format(2))
    running = engine(lake, cdse)
    result = running.run()
    assert (result.found, result.stored) == (2, 1)
    assert status(running.database).states == {"S1": {"done": 1, "same": 1}}
    assert len(lake.objects()) == 1


def test_redelivery_is_tried_if_the_first_one_is_refused(lake: Lake, cdse: Cdse, small: list[Path]) -> None:
    first = cdse.publish(small[0], DAY.format(1))
    cdse.publish(small[0], DAY.format(2))
    cdse.faults[first["Id"]] = [FAULTS["html"]] * 9
    result = engine(lake, cdse, schedule={"attempts": 1}).run()
    assert (result.refused, result.catalogued) == (1, 1)


def test_product_changed_under_our_feet(lake: Lake, cdse: Cdse, small: list[Path]) -> None:
    """Its bytes are new, and the catalogue says so only later."""
    import io
    import zipfile

    product = cdse.publish(small[0], DAY.format(1))
    changed = io.BytesIO(small[0].read_bytes())
    with zipfile.ZipFile(changed, "a") as archive:
        archive.comment = b"made again"
    data = changed.getvalue()
    cdse.files[product["Id"]] = data
    running = engine(lake, cdse, schedule={"retry": "1 h"})
    assert running.run().postponed == 1
    new = entry(small[0].stem, data, DAY.format(1))
    cdse.products = [{**new, "Id": product["Id"]}]
    assert running.run().catalogued == 1
    assert Path(found(lake)[small[0].stem].assets["product"].href).read_bytes() == data
    assert status(running.database).states["S1"] == {"done": 1, "replaced": 1}


def test_deletions_are_told(lake: Lake, cdse: Cdse, small: list[Path]) -> None:
    first, second = (cdse.publish(p, DAY.format(n)) for n, p in enumerate(small, 1))
    running = engine(lake, cdse, news=str(lake.home / "news"))
    running.run()
    cdse.delete(first, "2999-01-01T00:00:00.000000Z")
    running.run()
    items = found(lake)
    assert items[small[0].stem].properties["geodes:withdrawn"].startswith("2999-01-01")
    assert "geodes:withdrawn" not in items[small[1].stem].properties
    feed = json.loads((lake.home / "news" / "news.json").read_text())
    (deletion,) = [i for i in feed["items"] if i["tags"] == ["deletion"]]
    assert deletion["_evidence"]["why"] == "Corrupted product"
    assert second["Id"] not in json.dumps(deletion)


def test_deleted_before_it_came(lake: Lake, cdse: Cdse, small: list[Path]) -> None:
    product = cdse.publish(small[0], DAY.format(1))
    del cdse.files[product["Id"]]
    running = engine(lake, cdse)
    running.run()
    assert status(running.database).states == {"S1": {"withdrawn": 1}}


def test_subscription_is_read_recorded_and_acknowledged(lake: Lake, cdse: Cdse, small: list[Path]) -> None:
    one = cdse.publish(small[0], DAY.format(1))
    for _ in range(25):  # delivered again and again
        cdse.notify(one)
    two = cdse.publish(small[1], DAY.format(2))  # push forgot this one
    running = engine(lake, cdse, {"subscription": SUBSCRIPTION})
    assert running.run().catalogued == 2
    assert not cdse.queue
    assert len(cdse.acknowledged) == 2
    cdse.notify(two, "deleted")
    cdse.products.remove(two)
    running.run()
    assert "geodes:withdrawn" in found(lake)[small[1].stem].properties


def test_subscription_that_fails_does_not_stop_polling(lake: Lake, cdse: Cdse, small: list[Path]) -> None:
    cdse.publish(small[0], DAY.format(1))
    assert engine(lake, cdse, {"subscription": "00000000-0000-0000-0000-00000000000"[:35] + "0"}).run().catalogued == 1


def test_outage_is_told_once_and_its_end(lake: Lake, cdse: Cdse, small: list[Path]) -> None:
    cdse.publish(small[0], DAY.format(1))
    running = engine(lake, cdse, news=str(lake.home / "news"))
    cdse.down = True
    for _ in range(3):
        assert "up" in running.run().failed
    assert status(running.database).failing[0].source == "up"
    cdse.down = False
    assert running.run().catalogued == 1
    assert not status(running.database).failing
    kinds = [i["tags"][0] for i in json.loads((lake.home / "news" / "news.json").read_text())["items"]]
    assert (kinds.count("outage"), kinds.count("recovery")) == (1, 1)


def test_wrong_password_is_a_sentence_and_shows_nothing(
    lake: Lake, cdse: Cdse, small: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_CDSE_PASSWORD", "guess-work")
    cdse.publish(small[0], DAY.format(1))
    running = engine(lake, cdse, schedule={"attempts": 1})
    assert running.run().refused == 1
    reason = status(running.database).refused[0].reason
    assert "check user and password in sources.up.login" in reason
    assert "guess-work" not in reason


def test_recorded_answers_are_understood(shared: Path) -> None:
    odd = []
    for path in sorted((shared / "cdse" / "odata").glob("*.json")):
        document = json.loads(path.read_text())
        if not isinstance(document, dict) or "value" not in document:
            continue
        good, bad = odata.publications(odata.page(document, "up"), "https://download.example/odata/v1")
        assert len(good) == len(document["value"])
        assert not bad
        odd += [p for p in good if len(p.checksums) != 2]
    assert not odd
    notice = json.loads((shared / "cdse" / "push" / "data" / "push-granule-created-s2-n1.json").read_text())
    wanted = Wanted(source="up", upstream="SENTINEL-2", product_type="S2MSI1C")
    (product,), gone, token = odata.of_notices([notice], wanted, "https://download.example/odata/v1")
    assert product.properties["s2:datastrip_id"].endswith("_N05.11")
    assert product.properties["grid:code"] == "MGRS-28PHQ"
    assert not gone
    assert token == notice["AckId"]


@pytest.mark.attack
@pytest.mark.parametrize(
    "change",
    [{"Name": None}, {"Name": 7}, {"Id": "x"}, {"Id": "../../etc"}, {"PublicationDate": "soon"}, {"ContentLength": -1},
     {"ContentLength": "big"}, {"Checksum": [{"Algorithm": "MD5"}]}, {"Checksum": "none"}, {"GeoFootprint": {"type": "x"}},
     {"Attributes": [7]}, {"ContentDate": []}, {"Name": "../../etc/passwd"}, {"Name": "a\u202eb"}],
)  # fmt: skip
def test_hostile_answers_are_refused_or_understood(
    lake: Lake, cdse: Cdse, small: list[Path], change: dict[str, Any]
) -> None:
    cdse.products.append({**entry(small[1].stem, small[1].read_bytes(), DAY.format(1)), **change})
    cdse.publish(small[0], DAY.format(1))
    running = engine(lake, cdse, schedule={"attempts": 1})
    running.run()
    assert small[0].stem in found(lake)
    assert all(r.reason for r in status(running.database).refused)
    assert all(".." not in key for key in lake.objects())


def test_condition_quotes_what_the_settings_say() -> None:
    wanted = Wanted(source="up", upstream="A' or 1 eq 1 or Name eq 'B", product_type="GRD", cloud_cover=30, names="S1'")
    text = odata.condition(wanted, None, None, None, "PublicationDate", "2021-01-01T00:00:00Z")
    assert "Collection/Name eq 'A'' or 1 eq 1 or Name eq ''B'" in text
    assert "startswith(Name,'S1''')" in text
    assert text.endswith("PublicationDate ge 2021-01-01T00:00:00.000000Z")


@pytest.mark.parametrize("takes_orders", [True, False])
def test_product_on_tape_is_said_ordered_once_and_fetched_when_it_is_there(
    lake: Lake, cdse: Cdse, small: list[Path], takes_orders: bool
) -> None:
    product = cdse.publish(small[0], DAY.format(1), Online=False)
    cdse.takes_orders = takes_orders
    running = engine(lake, cdse)
    for _ in range(2):
        result = running.run()
        assert (result.stored, result.postponed, result.refused) == (0, 1, 0)
        (waits,) = status(running.database).postponed
        assert f"{small[0].stem}.SAFE is on tape at up" in waits.reason
        tried_again(running)
    assert ("it was ordered" if takes_orders else "order it yourself") in waits.reason
    assert set(cdse.orders) == {product["Id"]}
    assert len(cdse.orders) == (1 if takes_orders else 2)
    product["Online"] = True
    assert running.run().catalogued == 1
    assert not status(running.database).postponed


def tried_again(running: Engine) -> None:
    """What is postponed may be tried now."""
    with running.database.change() as c:
        c.execute(products.update().values(later=0.0))
