"""Whole products: verified before they get their name, continued where that is safe, fetched once."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dask
import obstore
import pytest
import trustme
from blake3 import blake3
from hypothesis import HealthCheck, given
from hypothesis import settings as drawn
from hypothesis import strategies as st

import geodes_lab as gl
from geodes_lab import GeodesError
from geodes_lab.downloading import download as module
from geodes_lab.downloading.report import DownloadFailed, ReplacedFile
from geodes_lab.storage import fetch
from geodes_lab.storage.location import locate
from geodes_lab.storage.whole_object import transfer
from geodes_lab.storage.whole_object.partial import Partial
from geodes_lab.util import progress
from tests.downloading.conftest import md5, zipped
from tests.support.examples import examples
from tests.support.servers.s3_server import serving
from tests.support.servers.upstream import OLD, Request, Upstream, item

DATA, NEWER = zipped(1), zipped(2)
KEY = "secret-key-0123456789"


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def one(upstream: Upstream, data: bytes = DATA, name: str = "P1", **fields) -> dict:
    return item(name, f"{upstream.url}/{name}.zip", data, **fields)


def test_products_arrive_once_and_the_report_says_what_proves_them(upstream, there):
    items = []
    for number in range(5):
        data = zipped(number)
        upstream.put(f"P{number}.zip", data)
        items.append(one(upstream, data, f"P{number}"))
    report = gl.download(items, there)
    assert names(there) == [f"P{n}.zip" for n in range(5)]
    assert [p.read_bytes() for p in report.paths] == [zipped(n) for n in range(5)]
    assert list(report.table.what) == ["fetched"] * 5
    assert f"MD5 {hashlib.md5(zipped(0)).hexdigest()}, size" in repr(report)
    assert "<table" in report._repr_html_()
    assert len(upstream.requests) == 5
    again = gl.download(items, there)
    assert list(again.table.what) == ["was there"] * 5
    assert sum(o.received for o in again.outcomes) == 0
    assert len(upstream.requests) == 5


@pytest.mark.parametrize(
    ("checksum", "evidence"),
    [
        (md5(DATA).upper(), "MD5 "),
        (f"1220{hashlib.sha256(DATA).hexdigest()}", "SHA-256 "),
        (f"1620{hashlib.sha3_256(DATA).hexdigest()}", "SHA3-256 "),
        (f"1e20{blake3(DATA).hexdigest()}", "BLAKE3 "),
        (None, "no checksum is published, CRC-32 of 2 members, size"),
        ("", "no checksum is published, CRC-32 of 2 members, size"),
        ("1610" + "0" * 32, "a checksum of an unknown kind, CRC-32 of 2 members, size"),
        (17, "a checksum of an unknown kind, CRC-32 of 2 members"),
    ],
)
def test_checksum_that_is_published_is_verified_else_every_member(upstream, there, checksum, evidence):
    upstream.put("P1.zip", DATA)
    report = gl.download(one(upstream, **{"file:checksum": checksum}), there)
    assert report.outcomes[0].evidence.startswith(evidence)
    assert names(there) == ["P1.zip"]


@pytest.mark.parametrize("kind", ["d50110", "1220", "1e20"])
def test_another_checksum_leaves_nothing(upstream, there, kind):
    upstream.put("P1.zip", DATA)
    wrong = kind + "0" * (32 if kind == "d50110" else 64)
    with pytest.raises(DownloadFailed, match=r"^P1 could not be downloaded: .* another (MD5|SHA-256|BLAKE3) than"):
        gl.download(one(upstream, **{"file:checksum": wrong}), there)
    assert names(there) == []


def test_damaged_member_is_found_where_no_checksum_is_published(upstream, there):
    at = DATA.index(b"image.jp2") + 1000
    upstream.put("P1.zip", DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :])
    with pytest.raises(DownloadFailed, match=r"image\.jp2 of P1 is damaged"):
        gl.download(one(upstream, **{"file:checksum": None}), there)
    assert names(there) == []


def test_wrong_file_is_named_and_fetched_anew(upstream, there):
    upstream.put("P1.zip", DATA)
    there.mkdir()
    (there / "P1.zip").write_bytes(DATA[:-1] + b"x")
    with pytest.warns(ReplacedFile, match=r"P1\.zip is fetched anew: P1 has another MD5"):
        report = gl.download(one(upstream), there)
    assert list(report.table.what) == ["fetched anew"]
    assert (there / "P1.zip").read_bytes() == DATA


def test_wrong_file_stays_until_a_right_one_is_there(upstream, there):
    there.mkdir()
    (there / "P1.zip").write_bytes(b"old")
    with (
        pytest.warns(ReplacedFile),
        pytest.raises(GeodesError, match=r"^P1 could not be fetched .* it does not exist there"),
    ):
        gl.download(one(upstream), there)
    assert names(there) == ["P1.zip"]


def test_from_the_mirror_and_from_s3(sample, on_s3, there):
    items = gl.search("PEPS_S2_L1C", limit=2)
    assert list(gl.download(items, there / "s3").table.what) == ["fetched"] * 2
    with dask.config.set({"geodes_lab.datalake.mirror": str(sample / "datalake")}):
        report = gl.download(items, there / "mirror")
    for path in report.paths:
        (stored,) = (sample / "datalake").rglob(path.name)
        assert path.read_bytes() == stored.read_bytes() == (there / "s3" / path.name).read_bytes()


def cut(file, at: int) -> None:
    """The next answer ends after some bytes, and the server fails then."""

    def ends(request: Request) -> None:
        request.give(
            200, file.data, cut=at, **{k: v for k, v in {"ETag": file.tag, "Last-Modified": file.changed}.items() if v}
        )

    def fails(request: Request) -> None:
        request.give(503, b"")

    file.answers[:] = [ends, fails, fails, fails]


@pytest.mark.parametrize("about", [{"tag": '"a"'}, {"tag": None, "changed": OLD}], ids=["ETag", "Last-Modified"])
def test_interrupted_download_is_continued(upstream, there, about):
    file = upstream.put("P1.zip", DATA, **about)
    cut(file, 70_000)
    with pytest.raises(DownloadFailed, match=r"P1 could not be .* the server answered 503, 4 times"):
        gl.download(one(upstream), there)
    assert names(there) == ["P1.zip.part", "P1.zip.part.json"]
    upstream.requests.clear()
    report = gl.download(one(upstream), there)
    ((_, headers),) = upstream.requests
    assert headers["Range"] == "bytes=70000-"
    assert headers["If-Range"] == (file.tag or file.changed)
    assert report.outcomes[0].received == len(DATA) - 70_000
    assert names(there) == ["P1.zip"]
    assert (there / "P1.zip").read_bytes() == DATA


@pytest.mark.parametrize(
    "about",
    [{"tag": 'W/"a"'}, {"tag": None}, {"tag": None, "changed": "yesterday"}, {"ranges": False}],
    ids=["weak", "none", "no date", "no ranges"],
)
def test_where_nothing_proves_the_version_it_is_begun_again(upstream, there, about):
    file = upstream.put("P1.zip", DATA, **about)
    cut(file, 70_000)
    with pytest.raises(DownloadFailed):
        gl.download(one(upstream), there)
    upstream.requests.clear()
    gl.download(one(upstream), there)
    assert (there / "P1.zip").read_bytes() == DATA
    assert names(there) == ["P1.zip"]


def test_within_one_call_the_rest_alone_is_asked_for(upstream, there):
    file = upstream.put("P1.zip", DATA)
    file.answers[:] = [lambda r: r.give(200, DATA, cut=50_000, ETag=file.tag)]
    gl.download(one(upstream), there)
    assert upstream.ranges() == [None, "bytes=50000-"]
    assert (there / "P1.zip").read_bytes() == DATA


@pytest.mark.parametrize("published", [True, False], ids=["checksum", "no checksum"])
@pytest.mark.parametrize("honest", [True, False], ids=["If-Range", "ignores If-Range"])
def test_two_versions_are_never_glued_together(upstream, there, honest, published):
    fields = {} if published else {"file:checksum": None, "file:size": None}
    file = upstream.put("P1.zip", DATA, tag='"old"')
    cut(file, 70_000)
    with pytest.raises(DownloadFailed):
        gl.download(one(upstream, **fields), there)
    file = upstream.put("P1.zip", NEWER, tag='"new"')
    if not honest:

        def rest(request: Request) -> None:
            part, size = NEWER[70_000:], len(NEWER)
            request.give(206, part, ETag='"new"', Content_Range=f"bytes 70000-{size - 1}/{size}")

        file.answers[:] = [rest]
    gl.download(one(upstream, NEWER, **fields), there)
    assert (there / "P1.zip").read_bytes() == NEWER


@given(
    at=st.integers(0, len(DATA)),
    note=st.sampled_from(["right", "none", "cut", "other tag", "other address", "too small"]),
    other=st.booleans(),
)
@drawn(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_killed_process_left_the_bytes_are_right(server, tmp_path_factory, at, note, other):
    """``.part`` with any number of bytes, of this version or (with another tag) of an older one."""
    server.files.clear()
    file, folder = server.put("P1.zip", DATA), tmp_path_factory.mktemp("killed")
    is_old = other and note != "right"
    (folder / "P1.zip.part").write_bytes((NEWER if is_old else DATA)[:at])
    tag = '"old"' if note == "other tag" or is_old else file.tag
    address = f"http:{server.url}/{'P2' if note == 'other address' else 'P1'}.zip"
    size = at // 2 if note == "too small" else len(DATA)
    text = json.dumps({"address": address, "validator": tag, "size": size})
    if note != "none":
        (folder / "P1.zip.part.json").write_text(text[:20] if note == "cut" else text)
    gl.download(one(server, **{"file:checksum": None}), folder)
    assert (folder / "P1.zip").read_bytes() == DATA
    assert names(folder) == ["P1.zip"]


def test_bytes_that_were_changed_on_disk_are_found_and_fetched_anew(upstream, there):
    file = upstream.put("P1.zip", DATA)
    cut(file, 70_000)
    with pytest.raises(DownloadFailed):
        gl.download(one(upstream), there)
    with (there / "P1.zip.part").open("r+b") as part:
        part.write(b"xxxx")
    gl.download(one(upstream), there)
    assert (there / "P1.zip").read_bytes() == DATA


PROCESS = """
import json, sys
import dask
import geodes_lab as gl
dask.config.set({"geodes_lab.download.hosts": ["127.0.0.1"]})
try:
    print(gl.download(json.loads(sys.argv[1]), sys.argv[2]).outcomes[0].what, flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def start(upstream: Upstream, there: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROCESS, json.dumps(one(upstream)), str(there)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def stalled(upstream: Upstream) -> tuple[threading.Event, threading.Event]:
    """The next answer gives a third, and waits: events that a third was sent, and that it may go on."""
    file, sent, go = upstream.put("P1.zip", DATA), threading.Event(), threading.Event()

    def stall(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(DATA)))
        request.send_header("ETag", file.tag)
        request.end_headers()
        request.wfile.write(DATA[:70_000])
        request.wfile.flush()
        sent.set()
        go.wait(60)
        request.wfile.write(DATA[70_000:])

    file.answers[:] = [stall]
    return sent, go


# Ctrl-C is among the long ones: on a busy machine the process was seen to outlive it by a minute, and why is not found yet. The test
# of an interrupted main thread below is always run.
@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGKILL, id="kill -9"),
        pytest.param(signal.SIGINT, id="Ctrl-C", marks=pytest.mark.slow),
    ],
)
def test_process_that_ends_leaves_its_part_alone_which_is_continued(upstream, there, how):
    sent, go = stalled(upstream)
    process = start(upstream, there)
    try:
        assert sent.wait(60)
        until = 600
        while until and not ((there / "P1.zip.part").exists() and (there / "P1.zip.part").stat().st_size >= 60_000):
            threading.Event().wait(0.05)
            until -= 1
        process.send_signal(how)
        assert process.communicate(timeout=60)[0].strip() == ("interrupted" if how == signal.SIGINT else "")
    finally:
        go.set()
    assert names(there) == ["P1.zip.part", "P1.zip.part.json"]
    upstream.requests.clear()
    gl.download(one(upstream), there)
    assert upstream.ranges()[0].startswith("bytes=")
    assert (there / "P1.zip").read_bytes() == DATA


def test_processes_at_once_fetch_once(upstream, there):
    sent, go = stalled(upstream)
    first = start(upstream, there)
    assert sent.wait(60)
    second = start(upstream, there)
    threading.Timer(1.5, go.set).start()  # whether the second waits by then or comes later, it fetches nothing
    assert {p.communicate(timeout=60)[0].strip() for p in (first, second)} == {"fetched", "was there"}
    assert len(upstream.requests) == 1
    assert names(there) == ["P1.zip"]


@pytest.mark.attack
def test_key_goes_to_its_own_origin_alone(upstream, there, monkeypatch):
    monkeypatch.setenv("GEODES_API_KEY", KEY)
    with Upstream() as other:
        other.put("stored.zip", DATA)
        file = upstream.put("P1.zip", DATA)
        file.answers[:] = [lambda r: r.give(302, b"", Location=f"{other.url}/stored.zip")]
        gl.download(one(upstream), there)
        assert [h.get("X-Api-Key") for _, h in upstream.requests] == [KEY]
        assert [h.get("X-Api-Key") for _, h in other.requests] == [None]
    assert (there / "P1.zip").read_bytes() == DATA


@pytest.mark.attack
def test_continuation_over_a_redirect_keeps_the_key_at_home(upstream, there, monkeypatch):
    monkeypatch.setenv("GEODES_API_KEY", KEY)
    with Upstream() as other:
        stored = other.put("stored.zip", DATA)
        file = upstream.put("P1.zip", DATA)
        file.answers[:] = [lambda r: r.give(302, b"", Location=f"{other.url}/stored.zip")] * 2
        stored.answers[:] = [lambda r: r.give(200, DATA, cut=80_000, ETag=stored.tag)]
        gl.download(one(upstream), there)
        assert other.ranges() == [None, "bytes=80000-"]
        assert not any(KEY in str(h) for _, h in other.requests)
    assert (there / "P1.zip").read_bytes() == DATA


def test_one_product_that_fails_keeps_no_other_from_arriving(upstream, there):
    upstream.put("P1.zip", DATA)
    items = [one(upstream), *(item(f"X{n}", f"{upstream.url}/X{n}.zip", DATA) for n in range(7)), 5]
    with pytest.raises(
        DownloadFailed, match=r"^8 of 9 products did not arrive, the others are there: X0 could"
    ) as caught:
        gl.download(items, there)
    assert names(there) == ["P1.zip"]
    assert len(caught.value.errors) == 8
    assert list(caught.value.report.table.what) == ["fetched"] + ["failed"] * 8
    assert "… and 3 others" in str(caught.value)
    assert caught.value.report.paths == [there / "P1.zip"]


def test_the_same_product_twice_is_fetched_once_and_two_of_one_name_are_refused(upstream, there):
    upstream.put("P1.zip", DATA)
    report = gl.download([one(upstream), one(upstream)], there)
    assert sorted(report.table.what) == ["fetched", "was there"]
    assert len(upstream.requests) == 1
    other = item("P1", f"{upstream.url}/other.zip", NEWER)
    with pytest.raises(DownloadFailed, match="Two products of this call are called P1, and are not the same"):
        gl.download([one(upstream), other], there)


def test_memory_does_not_grow_with_the_product(upstream, there, monkeypatch):
    """What is written at once is small, whatever the size."""
    sizes = []
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: sizes.append(len(data)) or pwrite(fd, data, at))
    upstream.put("P1.zip", big := zipped(3, 30_000_000))
    gl.download(one(upstream, big), there)
    assert sum(sizes) == len(big)
    assert max(sizes) <= 2**20


def test_pauses_are_between_attempts(upstream, there, monkeypatch):
    monkeypatch.setattr(fetch, "_PAUSES", (0.01, 0.01, 0.01))
    file = upstream.put("P1.zip", DATA)
    file.answers[:] = [lambda r: r.give(500, b"")] * 3
    gl.download(one(upstream), there)
    assert len(upstream.requests) == 4


@pytest.mark.parametrize("cut_at", [None, 10, 100_000])
def test_over_tls_whose_pieces_are_small(there, tmp_path, monkeypatch, cut_at):
    monkeypatch.setenv("GEODES_API_KEY", KEY)
    authority, certificates = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(certificates))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    data = zipped(4, 3_000_000)
    with Upstream(context) as secure, dask.config.set({"geodes_lab.datalake.ca": str(certificates)}):
        file = secure.put("P1.zip", data)
        if cut_at is not None:
            file.answers[:] = [lambda r: r.give(200, data, cut=cut_at, ETag=file.tag)]
        gl.download(one(secure, data), there)
        assert secure.ranges() == [None, *([f"bytes={cut_at}-"] if cut_at else [])]
        assert {h.get("X-Api-Key") for _, h in secure.requests} == {KEY}
    assert (there / "P1.zip").read_bytes() == data


@pytest.fixture(scope="module")
def buckets(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("buckets")
    (folder / "products").mkdir()
    with serving(folder) as endpoint:
        yield endpoint, folder / "products"


@pytest.mark.parametrize("replaced", [False, True], ids=["the same", "replaced"])
@pytest.mark.parametrize("place", ["s3", "mirror"])
def test_interrupted_copy_from_the_datalake_is_continued_if_the_object_is_the_same(
    buckets, there, monkeypatch, replaced, place
):
    endpoint, bucket = buckets
    monkeypatch.setattr(transfer, "_STEP", 30_000)

    def put(data: bytes) -> None:
        if place == "mirror":
            (bucket / "P1.zip").write_bytes(data)
        else:  # as S3's clients do: so it has an ETag
            obstore.put(locate("s3://products/P1.zip").store, "P1.zip", data)

    settings = {
        "geodes_lab.datalake.endpoint": endpoint,
        "geodes_lab.datalake.mirror": str(bucket.parent) if place == "mirror" else None,
    }
    append = Partial.append

    def dies(self: Partial, data: bytes) -> None:
        if self.done >= 90_000:
            raise KeyboardInterrupt
        append(self, data)

    found = item("P1", "s3://products/P1.zip", DATA, **({"file:checksum": None, "file:size": None} if replaced else {}))
    with dask.config.set(settings):
        put(DATA)
        with monkeypatch.context() as patch:
            patch.setattr(Partial, "append", dies)
            with pytest.raises(KeyboardInterrupt):
                gl.download(found, there)
        assert (there / "P1.zip.part").stat().st_size == 90_000
        if replaced:
            put(NEWER)
        (outcome,) = gl.download(found, there).outcomes
    assert (there / "P1.zip").read_bytes() == (NEWER if replaced else DATA)
    assert outcome.received == len(DATA) - (0 if replaced else 90_000)
    assert names(there) == ["P1.zip"]


@pytest.mark.parametrize("when", ["headers", "body"])
def test_waiting_connections_end_at_once_when_the_call_is_interrupted(upstream, there, monkeypatch, when):
    """As Ctrl-C does: the main thread is interrupted while a server is silent."""
    file, asked, go = upstream.put("P1.zip", DATA), threading.Event(), threading.Event()

    def silent(request: Request) -> None:
        if when == "body":
            request.send_response(200)
            request.send_header("Content-Length", str(len(DATA)))
            request.end_headers()
            request.wfile.write(DATA[:100])
            request.wfile.flush()
        asked.set()
        go.wait(60)

    def interrupted(*_: object) -> object:
        assert asked.wait(60)
        raise KeyboardInterrupt

    file.answers[:] = [silent]
    monkeypatch.setattr(module, "wait_for", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            gl.download(one(upstream), there)
        assert not go.is_set()
    finally:
        go.set()
    assert names(there) == []


def test_one_bar_counts_the_bytes_of_all_products(upstream, there, monkeypatch):
    told: list[tuple[float, float | None]] = []

    class Bar:
        ended = 0

        def update(self, done: float, total: float | None) -> None:
            told.append((done, total))

        def end(self) -> None:
            Bar.ended += 1

    names_of_bars = []
    monkeypatch.setattr(progress, "new", lambda name, in_bytes: names_of_bars.append(name) or Bar())
    for number in range(3):
        upstream.put(f"P{number}.zip", zipped(number))
    gl.download([one(upstream, zipped(n), f"P{n}") for n in range(3)], there)
    total = 3 * len(DATA)
    assert names_of_bars == ["3 products"]
    assert max(told) == (total, total)
    assert Bar.ended == 1


def test_report_is_safe_to_show(upstream, there):
    with pytest.raises(DownloadFailed) as caught:
        gl.download([item("P<b>", f"{upstream.url}/x.zip", DATA), one(upstream)], there)
    assert "<b>" not in caught.value.report._repr_html_()
    assert "P&lt;b&gt;" in caught.value.report._repr_html_()
