"""From a folder to the datalake, its catalogue, a search and a cube; and what stands in the way."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import httpx
import pytest
import yaml
from click.testing import CliRunner

import geodes_lab as gl
from geodes_lab.acquisition import faults
from geodes_lab.acquisition.engine import Engine, Result
from geodes_lab.acquisition.status import Metrics, status
from geodes_lab.catalog.harvested import geoparquet  # noqa: F401  (its extra is there)
from geodes_lab.cli import main
from tests.acquisition.conftest import Lake
from tests.support.paths import TOP


def test_products_come_to_search_and_cube(lake: Lake, optical: list[Path]) -> None:
    for path in optical[:2]:
        lake.give(path)
    result = Engine(lake.config()).run()
    assert (result.found, result.stored, result.catalogued, result.refused) == (2, 2, 2, 0)
    items = gl.search("S2", url=lake.catalogue, latest=False)
    assert sorted(i.id for i in items) == sorted(p.stem for p in optical[:2])
    item = items[0]
    path = Path(item.assets["product"].href)
    zone, band, square = (
        item.properties["grid:code"][5:7],
        item.properties["grid:code"][7],
        item.properties["grid:code"][8:],
    )
    assert path.parent == lake.store / "sentinel2-l1c" / zone / band / square / f"{item.datetime:%Y/%m/%d}"
    assert hashlib.blake2b(path.read_bytes()).digest() in {
        hashlib.blake2b(p.read_bytes()).digest() for p in optical[:2]
    }
    assert item.assets["product"].extra_fields["file:size"] == path.stat().st_size
    assert "the manifest's checksums" in item.properties["geodes:verified"]
    cube = gl.open_cube(list(items), bands=["red"])
    assert cube.sizes["time"] >= 1
    assert cube["red"].isel(time=0, x=slice(0, 50), y=slice(0, 50)).compute().notnull().any()
    assert not list((lake.home / "state" / "work").iterdir())


def test_again_does_nothing(lake: Lake, optical: list[Path]) -> None:
    lake.give(optical[0])
    Engine(lake.config()).run()
    before = (lake.catalogue / "snapshot.json").read_bytes()
    again = Engine(lake.config()).run()
    assert (again.found, again.stored, again.catalogued) == (0, 0, 0)
    assert (lake.catalogue / "snapshot.json").read_bytes() == before


def test_radar_and_track_come_too(lake: Lake, radar: Path, sample: Path) -> None:
    track = next((sample / "datalake").glob("sentinel3-sral-l1/**/*.zip"))
    for path in (radar, track):
        lake.give(path)
    assert Engine(lake.config()).run().catalogued == 2
    assert {k.split("/")[0] for k in lake.objects()} == {"sentinel1-grd", "sentinel3-sr-1-sra-a"} or len(
        lake.objects()
    ) == 2
    items = gl.search("S2", url=lake.catalogue)
    assert {i.id for i in items} == {radar.stem, track.stem}
    assert next(i for i in items if i.id == radar.stem).geometry  # the track's place is in no metadata that are read


def damaged(path: Path, target: Path) -> None:
    """The same zip with one byte of a member's data changed."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = max(archive.infolist(), key=lambda i: i.compress_size)
    data[info.header_offset + 200 + info.compress_size // 2] ^= 0xFF
    target.write_bytes(data)


@pytest.mark.parametrize("fault", ["html", "truncated", "damaged", "empty", "another", "no band", "manifest"])
def test_what_is_not_the_product_is_refused_and_nothing_is_there(
    lake: Lake, optical: list[Path], altered, fault: str
) -> None:
    path, name = optical[0], optical[0].name
    target = lake.incoming / name
    match fault:
        case "html":
            target.write_text("<!doctype html><title>Log in</title>")
        case "truncated":
            target.write_bytes(path.read_bytes()[:-1000])
        case "damaged":
            damaged(path, target)
        case "empty":
            target.write_bytes(b"")
        case "another":
            shutil.copyfile(optical[1], target)
        case "no band":
            shutil.copyfile(altered(lambda n, d: None if n.endswith("_B04.jp2") else d, path), target)
        case "manifest":
            shutil.copyfile(altered(lambda n, d: d + b" " if n.endswith("MTD_MSIL1C.xml") else d, path), target)
    os.utime(target, (1, 1))
    engine = Engine(lake.config(schedule={"attempts": 1}))
    result = engine.run()
    assert (result.stored, result.refused, result.catalogued) == (0, 1, 0)
    (refused,) = status(engine.database).refused
    assert optical[0].stem in refused.reason
    assert refused.reason.endswith(".")
    assert not lake.store.exists() or not lake.objects()
    assert not lake.catalogue.exists()
    assert not list((lake.home / "state" / "work").iterdir())


def test_file_that_still_grows_waits(lake: Lake, optical: list[Path]) -> None:
    shutil.copyfile(optical[0], lake.incoming / optical[0].name)
    assert Engine(lake.config()).run().found == 0


def test_product_that_is_changed_supersedes_and_overwrites_nothing(lake: Lake, optical: list[Path], altered) -> None:
    lake.give(optical[0])
    Engine(lake.config()).run()
    (first,) = lake.objects()
    before = (lake.store / first).read_bytes()
    other = altered(lambda n, d: d, optical[0])
    with zipfile.ZipFile(other, "a") as archive:  # the same members in another zip
        archive.comment = b"packed again"
    assert other.read_bytes() != before
    lake.give(other, time=1_700_000_000)
    assert Engine(lake.config()).run().catalogued == 1
    assert (lake.store / first).read_bytes() == before
    (item,) = gl.search("S2", url=lake.catalogue, latest=False)
    assert Path(item.assets["product"].href).read_bytes() == other.read_bytes()
    assert len(lake.objects()) == 2
    third = Engine(lake.config(retention={"superseded": "0"})).run()
    assert third.removed == 1
    assert len(lake.objects()) == 1
    assert len(gl.search("S2", url=lake.catalogue, latest=False)) == 1


def test_newer_processing_supersedes(lake: Lake, optical: list[Path]) -> None:
    by_pass: dict[str, list[Path]] = {}
    for path in optical:
        parts = path.stem.split("_")
        by_pass.setdefault("_".join((*parts[:3], *parts[4:6])), []).append(path)
    old, new = sorted(next(v for v in by_pass.values() if len(v) > 1))[:2]
    lake.give(new)
    Engine(lake.config()).run()
    lake.give(old)  # it comes late
    Engine(lake.config()).run()
    assert [i.id for i in gl.search("S2", url=lake.catalogue)] == [new.stem]
    both = {i.id: i.properties for i in gl.search("S2", url=lake.catalogue, latest=False)}
    assert both[old.stem]["latest"] is False
    assert both[new.stem]["latest"] is True
    assert Engine(lake.config(retention={"superseded": "0"})).run().removed == 1
    assert [i.id for i in gl.search("S2", url=lake.catalogue, latest=False)] == [new.stem]


@pytest.mark.thorough
def test_deleted_upstream_is_told_and_kept(lake: Lake, optical: list[Path]) -> None:
    path = lake.give(optical[0])
    Engine(lake.config(news=str(lake.home / "news"))).run()
    path.unlink()
    Engine(lake.config(news=str(lake.home / "news"))).run()
    (item,) = gl.search("S2", url=lake.catalogue)
    assert item.properties["geodes:withdrawn"]
    assert Path(item.assets["product"].href).exists()
    feed = json.loads((lake.home / "news" / "news.json").read_text())
    kinds = [i["tags"] for i in feed["items"]]
    assert ["deletion"] in kinds
    assert ["arrival"] in kinds
    lake.give(optical[0])  # published again
    Engine(lake.config()).run()
    (item,) = gl.search("S2", url=lake.catalogue)
    assert "geodes:withdrawn" not in item.properties


def test_new_format_is_told_with_what_changed(lake: Lake, optical: list[Path]) -> None:
    """Masks became JPEG 2000 with baseline 04.00: the members themselves say so."""

    def has(path: Path, ending: str) -> bool:
        with zipfile.ZipFile(path) as archive:
            return any(n.endswith(ending) for n in archive.namelist())

    config = lake.config(news=str(lake.home / "news"))
    old = [p for p in optical if not has(p, "MSK_DETFOO_B01.jp2")]
    new = [p for p in optical if has(p, "MSK_DETFOO_B01.jp2")]
    told = []
    for path in (*old[:2], *new[:2]):  # each format is told once, and the first one is no news
        lake.give(path)
        Engine(config).run()
        feed = json.loads((lake.home / "news" / "news.json").read_text())
        told.append([i for i in feed["items"] if i["tags"] == ["format"]])
    assert [len(t) for t in told] == [0, 0, 1, 1]
    (change,) = told[-1]
    assert any(n.endswith("MSK_DETFOO_B01.jp2") for n in change["_evidence"]["new"])
    assert change["_evidence"]["first seen with"] == new[0].stem
    assert change["title"].startswith("S2MSI1C of S2 has another format: GRANULE/L1C_<tile>")
    assert re.match(r"Les produits S2MSI1C de S2 ont un autre format : \d+ fichiers de plus", change["_fr"])


def test_region_and_period(lake: Lake, optical: list[Path]) -> None:
    lake.give(optical[0])
    far = Engine(lake.config(region={"bbox": [-60, -10, -59, -9]}))
    assert far.run().refused == 1
    assert "outside the region" in status(far.database).refused[0].reason
    late = lake.config(period={"start": "2030-01-01"}, state={"folder": str(lake.home / "other")})
    assert Engine(late).run().found == 0


def test_command(lake: Lake, optical: list[Path]) -> None:
    lake.give(optical[0])
    run = CliRunner()
    config = str(lake.file(metrics="metrics/geodes.prom"))
    done = run.invoke(main, ["acquire", config])
    assert done.exit_code == 0, done.output
    assert "1 came into the catalogue" in done.output
    shown = run.invoke(main, ["acquire", "status", config])
    assert "S2: 1 done" in shown.output
    assert json.loads(run.invoke(main, ["acquire", "status", config, "--json"]).output)["states"] == {"S2": {"done": 1}}
    metrics = (lake.home / "metrics" / "geodes.prom").read_text()
    rules = (TOP / "hub" / "monitoring" / "acquisition.yaml").read_text()
    assert {r["alert"] for g in yaml.safe_load(rules)["groups"] for r in g["rules"]}
    assert set(re.findall(r"geodes_acquisition_\w+", rules)) <= set(
        re.findall(r"^geodes_acquisition_\w+", metrics, re.M)
    )
    assert 'geodes_acquisition_products{collection="S2",state="done"} 1.0' in metrics
    schema = json.loads(run.invoke(main, ["acquire", "schema"]).output)
    assert schema["additionalProperties"] is False
    missing = run.invoke(main, ["acquire", str(lake.home / "none.yaml")])
    assert missing.exit_code == 1


def test_watch_waits_where_a_disk_is_full(lake: Lake, small: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    lake.give(small[0])
    engine = Engine(lake.config(schedule={"retry": "0"}, metrics_listen="127.0.0.1:0"))
    full, rounds = [True], []

    def fill(here: str) -> None:
        if here == "catalogue.begun" and full:
            full.clear()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def told(result: Result) -> None:
        rounds.append(result.catalogued)
        engine.stop.set()

    monkeypatch.setattr(faults, "on_reach", fill)
    engine.watch(told)
    assert (full, rounds) == ([], [1])


def test_metrics_at_an_address(lake: Lake, small: list[Path]) -> None:
    lake.give(small[0])
    engine = Engine(lake.config())
    engine.run()
    with contextlib.closing(Metrics("127.0.0.1:0")) as metrics:
        address = f"http://127.0.0.1:{metrics.port}/metrics"
        assert "geodes" not in httpx.get(address).text
        metrics.update(engine.database)
        assert 'geodes_acquisition_products{collection="S2",state="done"} 1.0' in httpx.get(address).text
        with pytest.raises(gl.GeodesError, match="metrics_listen"):
            Metrics(f"127.0.0.1:{metrics.port}")


def test_mirror(tmp_path: Path, on_disk: Path) -> None:
    items = gl.search("PEPS_S2_L1C", limit=2)
    table = gl.mirror(items, tmp_path / "lake")
    assert list(table["state"]) == ["done", "done"]
    assert table["verified"].str.contains("MD5").all()
    again = gl.mirror(items, tmp_path / "lake")
    assert list(again["state"]) == ["done", "done"]
    here = gl.search("PEPS_S2_L1C", url=tmp_path / "lake" / "catalogue", latest=False)
    assert sorted(i.id for i in here) == sorted(i.id for i in items)
    assert all(Path(i.assets["product"].href).is_relative_to(tmp_path) for i in here)


def test_mirror_says_what_did_not_come(tmp_path: Path, on_disk: Path) -> None:
    (item,) = gl.search("PEPS_S2_L1C", limit=1)
    item.assets["product"].extra_fields["file:checksum"] = f"d50110{'0' * 32}"
    with pytest.raises(gl.GeodesError, match="another MD5") as failed:
        gl.mirror([item], tmp_path / "lake")
    assert list(failed.value.table["state"]) == ["refused"]
    assert not (tmp_path / "lake" / "catalogue").exists()
