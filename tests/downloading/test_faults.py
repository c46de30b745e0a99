"""Bad input, bad servers, a full disk: one sentence that names the product, and nothing half there."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import zipfile
from io import BytesIO
from pathlib import Path

import dask
import pytest

import geodes_lab as gl
from geodes_lab import GeodesError
from geodes_lab.catalog.items import Items
from geodes_lab.downloading import job, pace
from geodes_lab.downloading.pace import QuotaWait
from geodes_lab.downloading.report import DownloadFailed
from geodes_lab.storage import multihash
from tests.downloading.conftest import md5, zipped
from tests.support.servers.standin import StandIn, products
from tests.support.servers.upstream import Request, Upstream, item

DATA = zipped(1)
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"
KEY = "secret"


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def one(upstream: Upstream, name: str = "P1", data: bytes = DATA, **fields) -> dict:
    return item(name, f"{upstream.url}/{name}.zip", data, **fields)


def longer(request: Request) -> None:
    request.give(200, DATA + b"more")


def says_more(request: Request) -> None:
    request.give(200, DATA, Content_Length=str(len(DATA) + 1))
    request.close_connection = True


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda r: r.give(200, PAGE, "text/html"), "sent an HTML page instead of the product"),
        (lambda r: r.give(200, PAGE), "sent an HTML page instead of the product"),
        (lambda r: r.give(200, b'{"error": "no"}', "application/json"), r"sent JSON .*no.* instead of the product"),
        (lambda r: r.give(200, DATA[:5000]), f"it has 5000 bytes there, and {len(DATA)} in the catalogue"),
        (lambda r: r.give(200, DATA, cut=5000), "peer closed connection|ended too early"),
        (says_more, "more than the|peer closed|ended too early|is not right|bytes there"),
        (longer, "bytes there, and|more than the"),
        (lambda r: r.give(200, b""), "ended too early|bytes there"),
        (lambda r: r.give(202, b""), "it was on tape, and its server has been asked for it; call again later"),
        (lambda r: r.give(302, b"", Location=r.path), "redirects without end"),
        (lambda r: r.give(401, b""), r"refused it \(401\)"),
        (lambda r: r.give(404, b""), "it does not exist there; search again"),
        (lambda r: r.give(200, DATA, Content_Encoding="gzip"), "compressed, though that was not asked for"),
        (lambda r: r.give(206, DATA[:10], Content_Range="bytes 0-9/10"), "the server answered 206"),
    ],
    ids=["HTML", "HTML as zip", "JSON", "short", "cut", "length too large", "long", "empty", "202", "redirects", "401", "404",
         "gzip", "206"],
)  # fmt: skip
def test_what_is_not_the_product_is_one_sentence_and_others_arrive(upstream, there, answer, sentence):
    bad = upstream.put("P1.zip", DATA, tag=None)
    bad.answers[:] = [answer] * 30
    upstream.put("P2.zip", other := zipped(2))
    with pytest.raises(DownloadFailed, match=sentence) as caught:
        gl.download([one(upstream), one(upstream, "P2", other)], there)
    text = str(caught.value.errors["P1"])
    assert text.startswith("P1 could not be")
    assert text.count(". ") == 0
    assert names(there) == ["P2.zip"]


@pytest.mark.parametrize("data", [PAGE, b"PK\x03\x04" + bytes(5000), b"PK\x05\x06" + bytes(18), bytes(100)])
def test_what_is_no_zip_is_found_where_nothing_is_published(upstream, there, data):
    upstream.put("P1.zip", data)
    with pytest.raises(DownloadFailed, match="P1"):
        gl.download(one(upstream, **{"file:size": None, "file:checksum": None}), there)
    assert names(there) == []


def test_redirect_to_a_login_page_is_named(upstream, there):
    with Upstream() as other:
        other.put("login", PAGE).answers[:] = [lambda r: r.give(200, PAGE, "text/html")]
        upstream.put("P1.zip", DATA).answers[:] = [lambda r: r.give(302, b"", Location=f"{other.url}/login")]
        with pytest.raises(
            DownloadFailed, match=r"an HTML page of 127\.0\.0\.1, where it sent the request, perhaps to log in"
        ):
            gl.download(one(upstream), there)
    assert names(there) == []


@pytest.mark.attack
@pytest.mark.parametrize(
    "name",
    ["../P1", "/etc/P1", "a/b", "..", ".hidden", "a\\b", "a\0b", "a\nb", "", "x" * 300, "-rf", "a\u202eb", "P1."],
)
def test_name_that_no_file_may_have_is_refused(upstream, there, name):
    upstream.put("P1.zip", DATA)
    bad = one(upstream)
    bad["id"] = "P"
    bad["properties"]["identifier"] = name or " "
    with pytest.raises(GeodesError, match="has a name that no file may have"):
        gl.download(bad, there)
    assert names(there) == []
    assert names(there.parent) == ["products"]


@pytest.mark.parametrize("size", [-1, "12", True, 1.5])
def test_size_that_is_no_number_of_bytes_is_refused(upstream, there, size):
    with pytest.raises(GeodesError, match=r"P1 has the file:size .*, which is no number of bytes"):
        gl.download(one(upstream, **{"file:size": size}), there)


def hostile(*members: str) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in members:
            archive.writestr(name, "<a/>")
    return file.getvalue()


@pytest.mark.attack
@pytest.mark.parametrize(
    "members",
    [
        ("P.SAFE/../../x.xml",),
        ("/etc/x.xml",),
        (".ssh/config.xml",),
        ("-x/a.xml",),
        ("P.SAFE/a.xml", "P.SAFE/a.xml/b.xml"),
    ],
)
def test_member_that_leads_out_is_refused(upstream, there, members):
    upstream.put("P1.zip", data := hostile(*members))
    with pytest.raises(GeodesError, match=r"P1"):
        gl.download(one(upstream, data=data), there, only="metadata")
    assert [n for n in names(there.parent) if n not in ("products", "cache", "replicas")] == []
    assert [n for n in names(there) if not n.endswith(".part")] == []


def test_directory_and_arguments_are_checked_before_any_request(upstream, there, tmp_path):
    (tmp_path / "file").write_text("x")
    for wrong, sentence in {
        "s3://bucket/x": "gl.download writes to disk",
        str(tmp_path / "file"): "cannot be made",
    }.items():
        with pytest.raises(GeodesError, match=sentence):
            gl.download(one(upstream), wrong)
    for options, sentence in [
        ({"bbox": (1, 2, 3)}, "west, south, east, north"),
        ({"bbox": (1, 2, 3, 4), "geometry": "x.geojson"}, "both say where"),
        ({"bbox": (1, 2, 3, 4), "only": "metadata"}, "no part for a box"),
        ({"only": "pixels"}, "only is 'metadata', not 'pixels'"),
        ({"only": "metadata", "bands": "red"}, "exclude each other"),
        ({"bands": []}, "bands names no band"),
        ({"bands": 5}, "bands is a name, or a list of names"),
        ({"parallel": 0}, "parallel is a number of products"),
        ({"on_quota": "ask"}, "on_quota is 'wait' or 'stop'"),
    ]:
        with pytest.raises(GeodesError, match=sentence):
            gl.download(one(upstream), there, **options)
    assert upstream.requests == []


def test_disk_that_fills_is_one_sentence_and_what_came_is_continued(upstream, there, monkeypatch):
    upstream.put("P1.zip", DATA)
    pwrite, room = os.pwrite, [90_000]

    def full(descriptor: int, data: bytes, at: int) -> int:
        if at >= room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(descriptor, data[: room[0] - at], at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(DownloadFailed, match=r"P1 could not be downloaded: the disk of .* is full; free some room"):
            gl.download(one(upstream), there)
    assert names(there) == ["P1.zip.part", "P1.zip.part.json"]
    gl.download(one(upstream), there)
    assert upstream.ranges() == [None, "bytes=90000-"]
    assert (there / "P1.zip").read_bytes() == DATA


def test_small_disk_really(upstream, tmp_path):
    there = tmp_path / "small"
    there.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", there], capture_output=True).returncode:
        pytest.skip("a tmpfs needs root")
    try:
        upstream.put("P1.zip", DATA)
        with pytest.raises(DownloadFailed, match=r"the disk of .* has .* left, and it needs"):
            gl.download(one(upstream), there)
        assert upstream.requests == []
        assert names(there) == []
        with pytest.raises(DownloadFailed, match=r"the disk of .* is full; free some room and call again"):
            gl.download(one(upstream, **{"file:size": None}), there)
        assert "P1.zip" not in names(there)
    finally:
        subprocess.run(["umount", there], check=True)


def test_folder_that_may_not_be_written_is_said(upstream, there, monkeypatch):
    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    upstream.put("P1.zip", DATA)
    monkeypatch.setattr(os, "pwrite", refused)
    with pytest.raises(DownloadFailed, match=r"P1 could not be downloaded: .* cannot hold it \(Permission denied\)"):
        gl.download(one(upstream), there)


@pytest.fixture
def portal(monkeypatch):
    """The stand-in of GEODES, as the profile ``geodes``: some products, which it serves."""
    items = products(3)
    files = {i["properties"]["identifier"]: zipped(n) for n, i in enumerate(items)}
    for i in items:
        identifier = i["properties"]["identifier"]
        asset, data = i["assets"][f"{identifier}.zip"], files[identifier]
        asset["href"] = asset["href"].rpartition("/")[0] + f"/{md5(data)[6:]}"
        asset["description"] = f"File size: {len(data)} bytes\n\nIs online: false\n\nChecksum MD5: {md5(data)[6:]}"
    monkeypatch.setenv("GEODES_API_KEY", KEY)
    with StandIn(items, files=files) as service:
        profile = {"kind": "geodes", "url": service.url, "portal": service.portal}
        with dask.config.set({"geodes_lab.catalog.profiles.geodes": profile}):
            yield service


def found() -> Items:
    return gl.search("PEPS_S2_L1C", profile="geodes", latest=False)


def test_products_of_the_portal_arrive_with_the_key_and_the_quota_is_shown(portal, there):
    portal.quota = 10
    assert repr(gl.quota()) == f"10 of 100 downloads of this hour are left at {portal.portal}."
    report = gl.download(found(), there)
    assert list(report.table.what) == ["fetched"] * 3
    assert "7 of 100 downloads of this hour are left" in repr(report)
    assert "MD5" in report.outcomes[0].evidence
    gl.download(found(), there)
    assert gl.quota().left == 7


def test_quota_that_is_used_up_stops_and_says_so(portal, there):
    portal.quota = 2
    with pytest.raises(
        DownloadFailed,
        match=r'1 of 3 .* the quota of products per hour of .* is used up; call again in an hour, .*on_quota="wait"',
    ):
        gl.download(found(), there, parallel=1)
    assert len(names(there)) == 2
    asked = len(portal.requests)
    with pytest.raises(DownloadFailed):
        gl.download(found(), there)
    assert sum("/api/download/" in path for _, path, _ in portal.requests[asked:]) == 1, (
        "what is there is not asked for"
    )


def test_quota_is_waited_for_if_the_user_says_so(portal, there, monkeypatch):
    portal.quota = 1
    monkeypatch.setattr(pace, "_ASK_AGAIN", 0.01)
    wait = pace.Pace._hold

    def renewed(self: pace.Pace, server: str, seconds: float) -> None:
        portal.quota = 100
        wait(self, server, seconds)

    monkeypatch.setattr(pace.Pace, "_hold", renewed)
    with pytest.warns(QuotaWait, match="is used up: it is asked again at"):
        report = gl.download(found(), there, on_quota="wait", parallel=1)
    assert list(report.table.what) == ["fetched"] * 3


def test_quota_needs_a_key(portal, monkeypatch):
    monkeypatch.delenv("GEODES_API_KEY")
    with pytest.raises(GeodesError, match="set GEODES_API_KEY"):
        gl.quota()
    monkeypatch.setenv("GEODES_API_KEY", "wrong")
    with pytest.raises(GeodesError, match="the key is refused"):
        gl.quota()


def test_products_on_tape_are_said_before_any_download(portal, there):
    items = found()
    portal.on_tape = frozenset({items[0].properties["identifier"]})
    with pytest.raises(
        DownloadFailed, match=r"is on tape, and cannot be downloaded now: request it in the explorer"
    ) as caught:
        gl.download(items, there)
    assert len(caught.value.errors) == 1
    assert len(names(there)) == 2
    assert not any(items[0].id in path for _, path, _ in portal.requests if "/api/download/" in path)


@pytest.mark.parametrize("after", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_server_that_asks_to_wait_a_moment_is_waited_for(upstream, there, after):
    file = upstream.put("P1.zip", DATA)
    file.answers[:] = [lambda r: r.give(429, b"", Retry_After=after)] * 2
    gl.download(one(upstream), there)
    assert len(upstream.requests) == 3


def test_retry_after_is_honoured_and_a_long_one_is_a_quota(upstream, there, monkeypatch):
    from geodes_lab.storage.whole_object.stop import Stop

    waited = []
    monkeypatch.setattr(Stop, "wait", lambda self, seconds: waited.append(seconds))
    file = upstream.put("P1.zip", DATA)
    file.answers[:] = [lambda r: r.give(429, b"", Retry_After="7"), lambda r: r.give(503, b"", Retry_After="5")]
    gl.download(one(upstream), there)
    assert [s for s in waited if s] == [7.0, 5.0]
    file.answers[:] = [lambda r: r.give(429, b"", Retry_After="1800")]
    (there / "P1.zip").unlink()
    with pytest.raises(DownloadFailed, match="call again in 1800 seconds"):
        gl.download(one(upstream), there)


@pytest.mark.attack
@pytest.mark.parametrize(
    "change",
    [
        lambda i: i["assets"]["product"].update(alternate=[1]),
        lambda i: i["assets"]["product"].update(alternate={"https": 5}),
        lambda i: i["assets"]["product"].update(href=5),
        lambda i: i["assets"]["product"].update({"file:checksum": {"a": 1}, "href": "https://[::1/x"}),
        lambda i: i.update(assets={}),
        lambda i: i["assets"]["product"].update(href="file:///etc/hostname", type="text/plain"),
        lambda i: i["properties"].update(identifier=["a"]),
    ],
)
def test_item_that_holds_anything_keeps_no_other_from_arriving(upstream, there, change):
    upstream.put("P2.zip", DATA)
    upstream.put("P1.zip", DATA)
    bad = one(upstream)
    change(bad)
    with pytest.raises(DownloadFailed) as caught:
        gl.download([bad, one(upstream, "P2")], there)
    assert len(caught.value.errors) == 1
    assert str(next(iter(caught.value.errors.values()))).count("\n") == 0
    assert names(there) == ["P2.zip"]


def test_items_of_the_copernicus_data_space_name_their_zip(shared, there):
    """As they were recorded: the zip of some has an MD5; of other files the checksum is of no length that is known."""
    found = {}
    for path in (shared / "cdse" / "stac-items").rglob("*.json"):
        document = json.loads(path.read_text())
        found[document["id"]] = one_job = job.of(document, there)
        assert one_job.target == there / f"{document['id']}.zip"
        assert one_job.whole.size is None or one_job.whole.size > 10**6
    sums = {name: multihash.parse(j.whole.checksum) for name, j in found.items()}
    assert [s.algorithm for s in sums.values() if s is not None] == ["MD5"] * sum(s is not None for s in sums.values())
    assert any(sums.values())
    assert multihash.parse("1610f3f738de9660013d9f3b0da1ac9550d5") is None
