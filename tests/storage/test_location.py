"""Where bytes are: the same call on disk, on S3 and over HTTP; the mirror first."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import CancelledError
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dask
import pytest

from geodes_lab.archive.archive import Archive
from geodes_lab.storage import event_loop, gdal_env
from geodes_lab.storage.location import locate
from geodes_lab.storage.traffic import traffic

KEY = "sentinel2-l1c/31/T/CJ/2021/06/05/S2A_MSIL1C_20210605T105031_N0300_R051_T31TCJ_20210605T125936.zip"


class Ranged(SimpleHTTPRequestHandler):
    """A web server that honours ranges, as any object store does."""

    def log_message(self, *_args: object) -> None: ...

    def do_GET(self) -> None:
        data = Path(self.translate_path(self.path)).read_bytes()
        start, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
        part = data[int(start) : int(end) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {start}-{int(start) + len(part) - 1}/{len(data)}")
        self.end_headers()
        self.wfile.write(part)


@pytest.fixture
def web(sample: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranged, directory=str(sample / "datalake")))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_mirror_comes_first(on_disk):
    for href in (f"https://s3.datalake.cnes.fr/{KEY}", f"s3://{KEY}"):
        place = locate(href)
        assert place.scheme == "file"
        assert place.gdal == str(on_disk / "datalake" / KEY)


def test_what_the_mirror_has_not_is_on_s3(on_disk):
    place = locate("https://s3.datalake.cnes.fr/sentinel2-l1c/31/other.zip")
    assert (place.scheme, place.root, place.path) == ("s3", "sentinel2-l1c", "31/other.zip")
    assert place.gdal == "/vsis3/sentinel2-l1c/31/other.zip"


def test_bytes_are_the_same_everywhere(on_disk, s3, web):
    near = locate(f"s3://{KEY}")
    with dask.config.set({"geodes_lab.datalake.mirror": None, "geodes_lab.datalake.endpoint": s3}):
        for far in (locate(f"s3://{KEY}"), locate(f"{web}/{KEY}")):
            assert far.scheme != "file"
            assert far.size() == near.size()
            assert far.read(1000, 500) == near.read(1000, 500)


@pytest.mark.parametrize("place", ["s3", "web", "zip", "folder"])
def test_members_are_the_same_everywhere(on_disk, s3, web, place, tmp_path):
    path = on_disk / "datalake" / KEY
    want = Archive(str(path))
    if place == "folder":
        import zipfile

        zipfile.ZipFile(path).extractall(tmp_path)
        href = str(tmp_path / f"{path.stem}.SAFE")
    else:
        href = {"s3": f"s3://{KEY}", "web": f"{web}/{KEY}", "zip": str(path)}[place]
    with dask.config.set({"geodes_lab.datalake.mirror": None, "geodes_lab.datalake.endpoint": s3}):
        archive = Archive(href)
        assert archive.names == want.names
        name = archive.find("MTD_MSIL1C.xml", "metadata")
        assert archive.read(name) == want.read(name)


def test_list_of_members_takes_two_requests(on_s3):
    before = traffic.requests, traffic.bytes
    archive = Archive(f"s3://{KEY}")
    assert len(archive.names) > 15
    assert traffic.requests - before[0] == 2, "its size, and its end"
    assert traffic.bytes - before[1] < 100_000


def test_members_of_a_large_zip_whose_sizes_follow_them(tmp_path, s3, sample):
    """zip64, data descriptors, deflated and stored: what a writer makes that cannot seek back."""

    class Pipe(io.RawIOBase):
        def __init__(self, file):
            self.file = file

        def writable(self):
            return True

        def write(self, data):
            return self.file.write(data)

    path = sample / "datalake" / "large" / "a.zip"
    path.parent.mkdir(exist_ok=True)
    members = {"P.SAFE/a.xml": b"<a/>" * 9000, "P.SAFE/b.bin": bytes(range(256)) * 800}
    try:
        with path.open("wb") as file, zipfile.ZipFile(Pipe(file), "w") as archive:
            for number, (name, data) in enumerate(members.items()):
                info = zipfile.ZipInfo(name)
                info.compress_type = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)[number]
                with archive.open(info, "w", force_zip64=True) as member:
                    member.write(data)
        with dask.config.set({"geodes_lab.datalake.endpoint": s3, "geodes_lab.datalake.mirror": None}):
            found = Archive("s3://large/a.zip")
            assert {name: found.read(name) for name in found.names} == members
            assert found.range("P.SAFE/a.xml") is None
            assert found.range("P.SAFE/b.bin")[1] == len(members["P.SAFE/b.bin"])
    finally:
        shutil.rmtree(path.parent)


def test_gdal_is_told_the_endpoint_and_never_to_skip_certificates():
    with dask.config.set({"geodes_lab.datalake.endpoint": "https://s3.datalake.cnes.fr"}):
        options = gdal_env.options("/vsis3/bucket/key")
    assert options["AWS_S3_ENDPOINT"] == "s3.datalake.cnes.fr"
    assert options["AWS_HTTPS"] == "YES"
    assert options["AWS_VIRTUAL_HOSTING"] == "FALSE"
    assert "GDAL_HTTP_UNSAFESSL" not in options
    assert options["GDAL_NUM_THREADS"] == "1"
    assert gdal_env.options("/home/me/file.tif") == {"GDAL_NUM_THREADS": "1"}


# The end of a process.


def test_an_end_waits_for_threads_that_tell_the_loop_something(monkeypatch):
    """obstore's threads come back into Python when they have told of an answer; the process would abort if it had ended meanwhile."""
    loop = event_loop.Loop()
    runs = threading.Thread(target=loop.run_forever, daemon=True)
    runs.start()
    inside, go, ended = threading.Event(), threading.Event(), threading.Event()
    plain = asyncio.SelectorEventLoop.call_soon_threadsafe

    def slow(self, callback, *args, context=None):
        if callback is print:
            inside.set()
            assert go.wait(20)
        return plain(self, callback, *args, context=context)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "call_soon_threadsafe", slow)
    monkeypatch.setattr(event_loop, "_FAREWELL", 20.0)
    never = asyncio.run_coroutine_threadsafe(asyncio.sleep(3600), loop)
    telling = threading.Thread(target=loop.call_soon_threadsafe, args=(print,))
    telling.start()
    assert inside.wait(20)
    end = threading.Thread(target=lambda: (loop.close_quietly(), ended.set()))
    end.start()
    with pytest.raises(CancelledError):
        never.result(20)
    assert not ended.wait(0.2), "somebody is still telling"
    go.set()
    assert ended.wait(20)
    for thread in (telling, end):
        thread.join(20)
    loop.call_soon_threadsafe(loop.stop)
    runs.join(20)
    loop.close()


@pytest.mark.slow
def test_short_programs_end_well(tmp_path, on_s3, s3, product):
    """One in fifty ended by SIGABRT, after its work."""
    key = product.relative_to(on_s3 / "datalake").as_posix()
    code = "import sys; from geodes_lab.archive.archive import Archive; a = Archive(sys.argv[1]); a.read(next(n for n in a.names if n.endswith('MTD_MSIL1C.xml')))"
    for n in range(60):
        told = {
            **os.environ,
            "DASK_GEODES_LAB__DATALAKE__ENDPOINT": s3,
            "DASK_GEODES_LAB__CACHE__FOLDER": str(tmp_path / str(n)),
        }
        done = subprocess.run([sys.executable, "-c", code, f"s3://{key}"], env=told, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-500:]
