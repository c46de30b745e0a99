"""Where a product is read from: near before far, in place before fetched, and fetched once, whole and right."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import dask
import pytest
from dask.utils import format_bytes

import geodes_lab as gl
from geodes_lab import GeodesError
from geodes_lab.archive.archive import Archive
from geodes_lab.storage import fetch as storage_fetch
from geodes_lab.storage import file_cache, resolve
from geodes_lab.storage.resolve import Fetched, choose

KEY = "secret-key-0123456789"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_args: object) -> None: ...

    def do_GET(self) -> None:
        with contextlib.suppress(ConnectionError):
            self.server.web.answer(self)

    do_HEAD = do_GET

    def give(self, status: int, data: bytes, kind: str = "application/zip", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


class Web:
    """A web server with one product under every path; what it does with a request is a function that a test gives."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.ranges: Callable[[Handler], None] = lambda request: request.give(200, self.data)
        self.whole: Callable[[Handler], None] = lambda request: request.give(200, self.data)
        self.asked: list[SimpleNamespace] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.web = self
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.href = f"{self.url}/api/download/URN:FEATURE:DATA:gdh:1:V1/files/{hashlib.md5(data).hexdigest()}"

    def answer(self, request: Handler) -> None:
        ranged = "Range" in request.headers
        key = request.headers.get("X-API-Key")
        self.asked.append(SimpleNamespace(path=request.path, ranged=ranged, method=request.command, key=key))
        (self.ranges if ranged else self.whole)(request)

    @property
    def transfers(self) -> int:
        return sum(not a.ranged and a.method == "GET" for a in self.asked)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], Web]]:
    with contextlib.ExitStack() as stack:

        def start(data: bytes) -> Web:
            web = Web(data)
            stack.callback(web.close)
            return web

        yield start


@pytest.fixture
def web(serve, product) -> Web:
    return serve(product.read_bytes())


@pytest.fixture
def small(serve, tmp_path) -> Web:
    path = tmp_path / "small.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("MTD.xml", os.urandom(100_000))
    return serve(path.read_bytes())


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    monkeypatch.setattr(resolve, "_known", {})
    monkeypatch.setattr(storage_fetch, "_PAUSES", (0, 0, 0))
    monkeypatch.delenv("GEODES_API_KEY", raising=False)
    settings = {
        "replica.folder": str(tmp_path / "products"),
        "replica.limit": "1GiB",
        "datalake.probe": 2,
        "download.hosts": ["127.0.0.1"],
    }
    with dask.config.set({f"geodes_lab.{name}": value for name, value in settings.items()}):
        yield tmp_path / "products"


def md5(data: bytes) -> str:
    return f"d50110{hashlib.md5(data).hexdigest()}"


def ranged(request: Handler) -> None:
    data = request.server.web.data
    if "Range" not in request.headers:
        return request.give(200, data)
    start, end = (int(n) for n in request.headers["Range"].removeprefix("bytes=").split("-"))
    part = data[start : end + 1]
    return request.give(206, part, Content_Range=f"bytes {start}-{start + len(part) - 1}/{len(data)}")


def status(code: int, text: str = "", kind: str = "text/plain") -> Callable[[Handler], None]:
    return lambda request: request.give(code, text.encode(), kind)


def half(request: Handler) -> None:
    data = request.server.web.data
    request.send_response(200)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data[: len(data) // 2])


def kept(folder: Path) -> list[Path]:
    return [p for p in folder.glob("*") if p.name != ".lock"] if folder.exists() else []


def key_of(sample: Path, product: Path) -> str:
    return product.relative_to(sample / "datalake").as_posix()


def test_mirror_wins_without_a_request(on_disk, product, web):
    place = choose([f"https://s3.datalake.cnes.fr/{key_of(on_disk, product)}", web.href])
    assert place.gdal == str(product)
    assert choose([web.href, str(product)]).gdal == str(product)
    assert web.asked == []


def test_datalake_is_chosen_where_its_endpoint_answers(on_s3, product, web, folder):
    href = f"https://s3.datalake.cnes.fr/{key_of(on_s3, product)}"
    place = choose([href, web.href])
    assert (place.scheme, place.size()) == ("s3", product.stat().st_size)
    assert web.asked == []
    assert not folder.exists()


def test_endpoint_is_asked_once_and_only_if_there_is_a_choice(web, monkeypatch):
    web.ranges = ranged
    probes = []
    monkeypatch.setattr(resolve, "_is_reachable", lambda endpoint: probes.append(endpoint))
    assert choose(["s3://sentinel2-l1c/a.zip"]).scheme == "s3"
    assert probes == []
    for name in ("a", "b"):
        assert choose([f"s3://sentinel2-l1c/{name}.zip", f"{web.url}/{name}.zip"]).scheme == "http"
    assert probes == ["http://127.0.0.1:9"]


def test_closed_datalake_falls_back_to_ranges_read_in_place(web, product, folder):
    web.ranges = ranged
    for _ in range(2):
        place = choose(["s3://sentinel2-l1c/a.zip", web.href], size=len(web.data), checksum=md5(web.data))
        assert (place.scheme, place.href) == ("http", web.href)
    assert sum(a.ranged for a in web.asked) == 1
    assert web.transfers == 0
    archive, want = Archive(place.href), Archive(str(product))
    name = archive.find("MTD_MSIL1C.xml", "metadata")
    assert archive.read(name) == want.read(name)
    assert not folder.exists()


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: request.give(200, request.server.web.data),
        status(500),
        status(416),
        lambda request: request.give(206, b"PK\x03\x04"),
        lambda request: request.give(206, b"PK\x03\x04", Content_Range="bytes 0-3/7"),
        lambda request: request.give(206, b"PK\x03\x04", Content_Range="bytes 4-7/100"),
        status(401),
    ],
    ids=["whole", "500", "416", "no Content-Range", "another size", "other bytes", "key wanted"],
)
def test_server_without_ranges_gives_the_product_once(web, product, folder, answer, capfd):
    web.ranges = answer
    hrefs = [f"s3://sentinel2-l1c/{product.name}", web.href]
    with pytest.warns(Fetched) as said:
        place = choose(hrefs, size=len(web.data), checksum=md5(web.data))
    (sentence,) = (str(w.message) for w in said)
    assert product.name in sentence
    assert format_bytes(len(web.data)) in sentence
    assert place.gdal in sentence
    assert said[0].filename == __file__
    assert kept(folder) == [Path(place.gdal)]
    archive, want = Archive(place.gdal), Archive(str(product))
    name = archive.find("MTD_MSIL1C.xml", "metadata")
    assert archive.read(name) == want.read(name)
    asked = len(web.asked)
    assert choose(hrefs, size=len(web.data), checksum=md5(web.data)) == place
    assert choose([web.href]) == place
    assert (len(web.asked), web.transfers) == (asked, 1)
    assert capfd.readouterr().err == ""


def test_server_that_answers_no_head_is_read_in_place(small):
    small.ranges, get = ranged, small.whole
    small.whole = lambda request: status(405)(request) if request.command == "HEAD" else get(request)
    place = choose([small.href])
    assert (place.scheme, place.size(), place.read(1, 3)) == ("http", len(small.data), small.data[1:4])
    assert len(Archive(small.href).read("MTD.xml")) == 100_000
    assert small.transfers == 0


def test_signed_address_is_read_in_place_and_its_signature_is_not_said(small):
    small.ranges = ranged
    place = choose([f"{small.url}/a%20b.zip?signature=a%2Bb/c="])
    assert (place.scheme, place.size()) == ("http", len(small.data))
    assert {a.path for a in small.asked} == {"/a%20b.zip?signature=a%2Bb/c="}, "as it was signed"
    assert (small.transfers, [a.method for a in small.asked if a.method != "GET"]) == (0, [])
    assert len(Archive(f"{small.url}/a%20b.zip?signature=a%2Bb/c=").read("MTD.xml")) == 100_000
    small.ranges = status(403)
    with pytest.raises(
        GeodesError, match=r"/a%20b\.zip cannot be read: its server refuses access; give a signed address"
    ) as told:
        place.read(0, 1)
    assert "a%2Bb" not in str(told.value)


def test_replica_has_a_readable_name_that_ends_as_its_content(small):
    with pytest.warns(Fetched):
        assert re.fullmatch(r"\w{24}-S2A_x_y\.zip", choose([f"{small.url}/S2A_x{{y.zip"]).name)
    with pytest.warns(Fetched):
        assert re.fullmatch(r"\w{24}\.zip", choose([small.href]).name)
    small.data = b"II*\x00" + bytes(1000)
    with pytest.warns(Fetched):
        assert re.fullmatch(r"\w{24}", choose([f"{small.href}0"]).name)


def test_size_and_sha256_are_enough_and_unknown_ones_are_not_needed(small):
    sha256 = f"1220{hashlib.sha256(small.data).hexdigest()}"
    with pytest.warns(Fetched):
        choose([small.href], size=len(small.data), checksum=sha256)
    with pytest.warns(Fetched):
        choose([f"{small.url}/b.zip"])


def test_replica_of_another_size_is_fetched_anew(small):
    with pytest.warns(Fetched):
        old = choose([small.href], size=len(small.data))
    with zipfile.ZipFile(old.gdal) as one:
        name = one.namelist()[0]
    Path(old.gdal).write_bytes(small.data[:-10])
    with pytest.warns(Fetched):
        assert Archive(choose([small.href], size=len(small.data)).gdal).names == {name}


def test_threads_at_once_fetch_once(web):
    go = threading.Barrier(8)

    def run(_index: int) -> str:
        go.wait(60)
        return choose([web.href], size=len(web.data), checksum=md5(web.data)).gdal

    with pytest.warns(Fetched) as said, ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(run, range(8)))
    assert len(said) == 1
    assert Path(*paths).read_bytes() == web.data
    assert [a.ranged for a in web.asked] == [True, False]


PROCESS = """
import fcntl, sys, warnings
from geodes_lab.storage.resolve import choose
warnings.simplefilter("ignore")
flock = fcntl.flock
fcntl.flock = lambda *arguments: (print("asks for the lock", flush=True), flock(*arguments))
print(choose([sys.argv[1]], size=int(sys.argv[2])).gdal)
"""


def start(web: Web, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, web.href, str(len(web.data))],
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "DASK_GEODES_LAB__REPLICA__FOLDER": str(folder),
            "DASK_GEODES_LAB__REPLICA__LIMIT": "1GiB",
            "DASK_GEODES_LAB__DOWNLOAD__HOSTS": "['127.0.0.1']",
        },
    )


def test_processes_at_once_fetch_once(web, folder):
    begun, go = threading.Event(), threading.Event()
    give = web.whole

    def slow(request: Handler) -> None:
        begun.set()
        go.wait(60)
        give(request)

    web.whole = slow
    first = start(web, folder)
    assert begun.wait(60)
    second = start(web, folder)
    assert second.stdout.readline() == "asks for the lock\n"
    go.set()
    paths = {process.communicate(timeout=60)[0].splitlines()[-1] for process in (first, second)}
    assert Path(*paths).read_bytes() == web.data
    assert web.transfers == 1
    assert kept(folder) == [Path(*paths)]


def test_half_of_a_process_that_was_killed_is_not_taken_for_the_product(web, folder):
    sent, go = threading.Event(), threading.Event()
    give = web.whole

    def stop(request: Handler) -> None:
        half(request)
        sent.set()
        go.wait(60)

    web.whole = stop
    process = start(web, folder)
    assert sent.wait(60)
    process.kill()
    process.communicate()
    go.set()
    assert [p.suffix for p in kept(folder)] == [".part"]
    web.whole = give
    with pytest.warns(Fetched):
        place = choose([web.href], size=len(web.data), checksum=md5(web.data))
    assert Path(place.gdal).read_bytes() == web.data
    assert kept(folder) == [Path(place.gdal)]


@pytest.mark.parametrize("damage", [half, status(503), status(200)], ids=["half", "503", "nothing"])
def test_transfer_that_fails_is_begun_again(small, folder, damage):
    give = small.whole
    small.whole = lambda request: damage(request) if small.transfers < 3 else give(request)
    with pytest.warns(Fetched) as said:
        place = choose([small.href], checksum=md5(small.data))
    assert len(said) == 1
    assert small.transfers == 3
    assert kept(folder) == [Path(place.gdal)]


def test_transfer_short_of_the_catalogue_or_without_the_end_of_a_zip_is_begun_again(small):
    cut = small.data[:-100]
    small.whole = lambda request: request.give(200, cut)
    for size in (len(small.data), None):
        with pytest.raises(GeodesError, match=rf"too early, after {len(cut)} bytes, 4 times; try again later\.$"):
            choose([small.href], size=size)
    assert small.transfers == 8


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (status(403, "Downloading products per hour exceeds quota limit"), "quota of products per hour is used up"),
        (status(429), "quota of products per hour is used up"),
        (status(200, '{"error": "DownloadQuotaPlugin : quota"}', "application/json"), "quota of products per hour"),
        (status(401), r"refused it \(401\); check that GEODES_API_KEY is right"),
        (status(403, "no"), r"refused it \(403\); check that GEODES_API_KEY is right"),
        (status(404), "it does not exist there; search again"),
        (status(418), "answered 418; tell the operator"),
        (status(500), "answered 500, 4 times; try again later"),
        (status(200, f'{{"message": "on tape {KEY}"}}', "application/json"), r'sent JSON \({"message": "on tape …"}\)'),
        (status(200, '{"message": "on tape"}', "application/zip"), r"sent JSON .* instead of the product"),
        (status(200, "<html>log in</html>", "text/html; charset=utf-8"), "sent an HTML page instead of the product"),
        (
            lambda r: r.give(302, b"", Location=r.path),
            "redirects without end, which is its answer to a wrong or expired key",
        ),
        (lambda r: r.give(302, b"", Location="ftp://there"), r"could not be fetched"),
        (lambda r: r.give(200, r.server.web.data + b"0"), r"larger than the announced \d+ bytes"),
        (lambda r: r.give(200, bytes(len(r.server.web.data))), "MD5 differs from the catalogue's; fetch it again"),
    ],
)
def test_what_is_not_the_product_is_said_in_one_sentence(small, folder, monkeypatch, answer, sentence):
    monkeypatch.setenv("GEODES_API_KEY", KEY)
    small.ranges = small.whole = answer
    with pytest.raises(GeodesError, match=sentence) as caught:
        choose(["s3://sentinel2-l1c/S2A_name.zip", small.href], size=len(small.data), checksum=md5(small.data))
    said = str(caught.value)
    assert said.startswith(f"S2A_name.zip could not be fetched from {small.href}: ")
    assert said.count(". ") == 0
    error = caught.value
    while error is not None:
        assert KEY not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__
    assert kept(folder) == []


def test_server_that_does_not_answer_is_said(folder):
    with pytest.raises(GeodesError, match=r"a\.zip could not be fetched .* Connection refused; check the network"):
        choose(["http://127.0.0.1:9/a.zip"])


def test_sentence_tells_to_set_the_key_or_to_list_the_host(small):
    small.whole = status(401)
    with pytest.raises(GeodesError, match="set GEODES_API_KEY to the key from your profile"):
        choose([small.href])
    with (
        dask.config.set({"geodes_lab.download.hosts": ["geodes-portal.cnes.fr"]}),
        pytest.raises(GeodesError, match=r"no key was sent, because the host is not in geodes_lab\.download\.hosts"),
    ):
        choose([small.href])


def test_addresses_that_do_not_exist_are_passed_over(small):
    with pytest.warns(Fetched):
        choose(["/not/there.zip", "ftp://there/a.zip", small.href])
    with pytest.raises(GeodesError, match="does not exist"):
        choose(["/not/there.zip"])
    with pytest.raises(GeodesError, match="has no address"):
        choose([])


@pytest.mark.attack
def test_key_goes_to_listed_hosts_and_not_with_a_redirect_to_another(serve, small, monkeypatch):
    monkeypatch.setenv("GEODES_API_KEY", KEY)
    other = serve(small.data)
    moved = {
        "/here": f"{small.url}/end",
        "/there": f"{other.url}/end",
        "/name": f"{other.url.replace('127.0.0.1', 'localhost')}/end",
    }
    give = small.whole
    small.whole = lambda r: r.give(302, b"", Location=moved[r.path]) if r.path in moved else give(r)
    for path in moved:
        with pytest.warns(Fetched):
            choose([small.url + path])
    assert {a.path for a in small.asked if a.key == KEY} == {*moved, "/end"}
    assert other.transfers == 2
    assert {a.key for a in other.asked} == {None}
    assert {a.key for a in small.asked if a.ranged} == {None}

    asked = len(small.asked)
    with dask.config.set({"geodes_lab.download.hosts": ["geodes-portal.cnes.fr"]}), pytest.warns(Fetched):
        choose([f"{small.url}/unlisted"])
    assert {a.key for a in small.asked[asked:]} == {None}


def test_key_is_not_sent_where_others_can_read_it_nor_if_it_cannot_be_one(small, monkeypatch):
    monkeypatch.setenv("GEODES_API_KEY", KEY)
    with dask.config.set({"geodes_lab.download.hosts": ["geodes-portal.cnes.fr"]}):
        assert storage_fetch.key("https://geodes-portal.cnes.fr/a") == KEY
        assert storage_fetch.key("http://geodes-portal.cnes.fr/a") is None
    monkeypatch.setenv("GEODES_API_KEY", f"{KEY}\nmore")
    with pytest.raises(GeodesError, match="GEODES_API_KEY, contains characters") as caught:
        choose([small.href])
    assert KEY not in str(caught.value)


def test_replicas_used_longest_ago_make_room(small, folder):
    def fetch(name: str) -> Path:
        with pytest.warns(Fetched):
            return Path(choose([f"{small.url}/{name}.zip"], size=len(small.data)).gdal)

    def age(path: Path, hours: float) -> None:
        os.utime(path, (time.time() - hours * 3600, path.stat().st_mtime))

    with dask.config.set({"geodes_lab.replica.limit": int(2.5 * len(small.data))}):
        a, b = fetch("a"), fetch("b")
        age(a, 2)
        age(b, 3)
        changed = b.stat().st_mtime_ns
        assert Path(choose([f"{small.url}/b.zip"]).gdal) == b
        assert b.stat().st_mtime_ns == changed
        (folder / "dead.part").write_bytes(b"0" * len(small.data))
        age(folder / "dead.part", 5)
        c = fetch("c")
        assert sorted(kept(folder)) == sorted([b, c])
        with pytest.raises(
            GeodesError, match=r"do not fit beside the replicas that were used in the last hour; raise .*limit"
        ):
            choose([f"{small.url}/d.zip"], size=len(small.data))
        assert sorted(kept(folder)) == sorted([b, c])


def test_transfer_under_way_keeps_its_room(small, folder):
    sent, go = threading.Event(), threading.Event()
    give = small.whole

    def slow(request: Handler) -> None:
        sent.set()
        go.wait(60)
        give(request)

    def meanwhile() -> Path:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(choose, [small.href], size=len(small.data))
            assert sent.wait(60)
            with pytest.raises(GeodesError, match="do not fit beside the replicas"):
                choose([f"{small.url}/b.zip"], size=len(small.data))
            go.set()
            return Path(first.result(60).gdal)

    small.whole = slow
    with dask.config.set({"geodes_lab.replica.limit": int(1.5 * len(small.data))}), pytest.warns(Fetched):
        path = meanwhile()
    assert path.read_bytes() == small.data


def test_product_larger_than_all_room_is_refused_before_it_is_asked_for(small, folder):
    with dask.config.set({"geodes_lab.replica.limit": "10kB"}):
        with pytest.raises(
            GeodesError, match=r"more than the limit for all replicas together; raise geodes_lab\.replica"
        ):
            choose([small.href], size=len(small.data))
        assert small.transfers == 0
        with pytest.raises(GeodesError, match="more than the limit for all replicas together"):
            choose([small.href])
    assert kept(folder) == []


def test_full_disk_says_how_much_is_needed(small, folder, monkeypatch):
    monkeypatch.setattr(file_cache.shutil, "disk_usage", lambda _path: SimpleNamespace(free=10))
    with pytest.raises(GeodesError, match=r"is full, it needs 97\.\d+ kiB; free some space"):
        choose([small.href], size=len(small.data))
    assert small.transfers == 0
    assert kept(folder) == []


def test_folder_that_cannot_be_written_is_said(small, tmp_path):
    (tmp_path / "file").touch()
    with (
        dask.config.set({"geodes_lab.replica.folder": str(tmp_path / "file" / "products")}),
        pytest.raises(GeodesError, match=r"cannot store .*: set geodes_lab\.replica\.folder"),
    ):
        choose([small.href])


def test_item_of_geodes_opens_from_its_download_address_where_the_datalake_is_out_of_reach(on_disk, web, product):
    """As on a laptop outside the platform's network: the same call, the same pixels, one sentence."""
    item = next(i for i in gl.search("PEPS_S2_L1C", latest=False) if i.id == product.stem)
    here = (1.76, 43.53, 1.83, 43.60)
    near = gl.open_cube([item], bands=["red"], bbox=here).red.compute(scheduler="threads")
    item.assets["product"].extra_fields["alternate"]["https"]["href"] = web.href
    with dask.config.set({"geodes_lab.datalake.mirror": None}):
        with pytest.warns(Fetched, match=f"{product.name} was downloaded completely"):
            cube = gl.open_cube([item], bands=["red"], bbox=here)
        far = cube.red.compute(scheduler="threads")
        again = gl.open_product(item)
    assert far.equals(near)
    assert again["r10m"].red.shape == (1320, 1320)
    assert web.transfers == 1
