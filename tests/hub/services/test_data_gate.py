"""The gate before the datalake: what it gives is what is there, what is restricted it gives to nobody else, and it counts."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, unquote

import dask
import httpx
import numpy as np
import obstore
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import S3Store
from starlette.responses import Response

import geodes_lab as gl
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.places import bucket_and_key
from geodes_lab.policy.reading import read
from hub.services.data import fair_shares
from hub.services.data.gate import made
from hub.services.data.lake import Away, Lake, part
from hub.services.data.tally import Tally
from hub.services.person import Hub, Person
from tests.support.examples import examples
from tests.support.servers.served import served

SECRET = "sentinel1-slc"
pytestmark = pytest.mark.attack


class Known(Hub):
    """A hub of two people."""

    def who(self, token: str) -> Person:
        people = {"a": Person("alice", frozenset({"radar"})), "b": Person("bob", frozenset({"geodes"}))}
        return people.get(token, Person())

    known = who  # nobody is to be asked


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    for name in ("open/a.bin", "open/b/c.bin", "mixed/secret/x", "mixed/secretary", f"{SECRET}/p.zip", "open/100%.bin"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.urandom(3_000_000) if name == "open/a.bin" else f"bytes of {name}".encode())
    (folder / "open" / "to-the-secret").symlink_to(folder / SECRET)
    (folder / "open" / "to-etc").symlink_to("/etc")
    (folder / "link-to-secret").symlink_to(folder / SECRET)
    return folder


def lab(**datalake) -> Lab:
    file = {
        "login": {"kind": "oidc", "oidc": {"issuer": "https://sso.example.org", "client_id": "lab"}},
        "subdomains": False,
        "servers": {"kind": "accounts"},
        "contact": "desk@example.org",
        "groups": {"geodes": {}},
        "restricted": {"RADAR": {"groups": ["radar"], "places": [SECRET, "mixed/secret/"]}},
        "datalake": {"gate": True, "collections": {"open": "OPEN"}, **datalake},
    }
    return read(Lab, file, "")


@pytest.fixture
def tally() -> Tally:
    return Tally("", "")


@pytest.fixture
def gate(lake, tally) -> Iterator[str]:
    told = lab(folder=str(lake))
    with served(made(told, Lake(told.datalake, Path("/none")), Known(), tally)) as url:
        yield url


def store(url: str, bucket: str, token: str) -> S3Store:
    return S3Store(
        bucket,
        endpoint=url,
        region="us-east-1",
        virtual_hosted_style_request=False,
        access_key_id="lab",
        secret_access_key="lab",
        session_token=token,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def get(url: str, path: str, token: str = "", **headers: str) -> httpx.Response:
    given = {"x-amz-security-token": token} if token else {}
    return httpx.get(f"{url}/{path}", headers={**given, **headers})


def test_bytes_are_those_that_are_there(gate, lake, tally):
    whole = (lake / "open" / "a.bin").read_bytes()
    bucket = store(gate, "open", "b")
    assert bytes(obstore.get(bucket, "a.bin").bytes()) == whole
    assert bytes(obstore.get_range(bucket, "a.bin", start=1_000_000, length=77)) == whole[1_000_000:1_000_077]
    assert obstore.head(bucket, "a.bin")["size"] == len(whole)
    assert tally._counted["bob", "OPEN"] == len(whole) + 77
    assert get(gate, "open/a.bin", "b", Range="bytes=-5").content == whole[-5:]
    end = get(gate, "open/a.bin", "b", Range="bytes=2999990-")
    assert (end.status_code, end.content) == (206, whole[-10:])
    assert end.headers["content-range"] == "bytes 2999990-2999999/3000000"
    assert get(gate, "open/a.bin", "b", **{"If-Match": '"other"'}).status_code == 412
    assert get(gate, "open/a.bin", "b", Range="bytes=3000001-3000009").status_code == 416
    assert get(gate, "open/a.bin", "b", Range="lines=1-2").status_code == 416


def test_who_is_not_known_gets_nothing(gate):
    for token in ("", "x"):
        reply = get(gate, "open/a.bin", token)
        assert reply.status_code == 403
        assert "<Code>AccessDenied" in reply.text or "<Code>InvalidToken" in reply.text
    assert get(gate, "open/a.bin", Authorization="token b").status_code == 200


def test_restricted_is_for_the_group_alone(gate):
    for place in (f"{SECRET}/p.zip", f"{SECRET}/not-there", "mixed/secret/x"):
        reply = get(gate, place, "b")
        assert reply.status_code == 403, place
        assert "bob has no access to RADAR: only members of radar can read it. Ask desk@example.org." in reply.text
    assert get(gate, f"{SECRET}/p.zip", "a").content == f"bytes of {SECRET}/p.zip".encode()
    assert get(gate, f"{SECRET}/not-there", "a").status_code == 404
    assert get(gate, "mixed/secretary", "b").status_code == 200, "another name that begins alike"
    with pytest.raises(obstore.exceptions.PermissionDeniedError):
        obstore.get(store(gate, SECRET, "b"), "p.zip")


WAYS_AROUND = [
    f"open/../{SECRET}/p.zip",
    f"open/%2e%2e/{SECRET}/p.zip",
    f"/{SECRET}/p.zip",
    "mixed//secret/x",
    "mixed/./secret/x",
    "mixed/secret%2f..%2fsecret/x",
    "mixed\\secret\\x",
    "open/..%5c..%5cetc",
    "%2e%2e/etc/passwd",
    "open/%00",
    f"%252e%252e/{SECRET}/p.zip",
    f"%252e/{SECRET}/p.zip",
    f"%25252e%25252e/{SECRET}/p.zip",
    f"open%2f..%2f{SECRET}/p.zip",
    f"open%252f..%252f{SECRET}/p.zip",
    f"open/%252e%252e/{SECRET}/p.zip",
    f"open/%252e%252e%252f{SECRET}%252fp.zip",
    f"{SECRET}%23/x",
    f"{SECRET}%3f/p.zip",
    f"{SECRET}%3fx=/p.zip",
    f"{SECRET.upper()}/p.zip",
    f"{SECRET}%20/p.zip",
    f"{SECRET}./p.zip",
    f"open@{SECRET}/p.zip",
    f"open/a.bin%3f/../../{SECRET}/p.zip",
    f"open/a.bin%23/../../{SECRET}/p.zip",
    f"open/%0d%0aHost:%20x/{SECRET}",
    f"http://127.0.0.1/{SECRET}/p.zip",
    f"open;/../{SECRET}/p.zip",
    "mixed/%73ecret/x",
    "mixed/%2573ecret/x",
    "mixed/secret",
    "mixed/secret/",
    "open/to-the-secret/p.zip",
    "open/to-etc/passwd",
    "link-to-secret/p.zip",
]


def by_hand(url: str, path: str, token: str = "b", method: str = "GET") -> tuple[int, bytes]:
    """A request as it is written, since clients straighten what they are given."""
    import http.client
    from urllib.parse import urlsplit

    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.putrequest(method, f"/{path}", skip_accept_encoding=True)
    connection.putheader("x-amz-security-token", token)
    connection.endheaders()
    reply = connection.getresponse()
    try:
        return reply.status, reply.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", WAYS_AROUND)
def test_no_other_way_of_writing_leads_around_a_rule(gate, lake, path):
    status, body = by_hand(gate, path)
    assert status in (400, 403, 404), body
    assert b"bytes of" not in body


class Upstream:
    """An S3 server that understands paths in its own way, as servers and what stands before them do.

    ``decodes`` is how often it decodes a path; with ``normalises`` it takes dots and empty parts away.
    """

    def __init__(self, folder: Path, decodes: int, normalises: bool) -> None:
        self.folder, self.decodes, self.normalises = folder, decodes, normalises

    async def __call__(self, scope, receive, send) -> None:
        path = (scope.get("raw_path") or b"").partition(b"?")[0].decode("latin-1")
        for _ in range(self.decodes):
            path = unquote(path)
        if self.normalises:
            path = os.path.normpath(f"/{path}")
        bucket, _, key = path.strip("/").partition("/")
        query = dict(parse_qsl(scope["query_string"].decode()))
        if not key and (self.folder / bucket).is_dir() and bucket:
            names = [
                p.relative_to(self.folder / bucket).as_posix()
                for p in sorted((self.folder / bucket).rglob("*"))
                if p.is_file()
            ]
            rows = "".join(
                f'<Contents><Key>{n}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"1"</ETag></Contents>'
                for n in names if n.startswith(query.get("prefix", ""))
            )  # fmt: skip
            await Response(f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>")(
                scope, receive, send
            )
            return
        found = self.folder / bucket / key
        if not key or not found.is_file() or "\0" in key:
            code = "NoSuchKey" if (self.folder / bucket).is_dir() else "NoSuchBucket"
            await Response(f"<Error><Code>{code}</Code></Error>", 404)(scope, receive, send)
            return
        head = {"ETag": '"1"', "Last-Modified": "Wed, 25 Nov 2026 10:00:00 GMT"}
        await Response(found.read_bytes(), 200, head)(scope, receive, send)


@pytest.fixture(
    scope="module", params=[(1, False), (1, True), (2, True)], ids=["as it is", "normalises", "decodes twice"]
)
def gate_on_s3(request, lake) -> Iterator[str]:
    with served(Upstream(lake, *request.param)) as upstream:
        told = lab(endpoint=upstream)
        with served(made(told, Lake(told.datalake, Path("/none")), Known(), Tally("", ""))) as url:
            yield url


@pytest.mark.parametrize("path", WAYS_AROUND)
def test_nor_where_an_s3_server_stands_behind_it(gate_on_s3, path):
    for method in ("GET", "HEAD"):
        status, body = by_hand(gate_on_s3, path, method=method)
        # A link is a folder's own affair; what this server follows is open to all there.
        if "to-" not in path:
            assert status in (400, 403, 404), (method, body)
            assert b"bytes of" not in body


def test_keys_arrive_as_they_are_asked_for(gate_on_s3):
    assert by_hand(gate_on_s3, f"{SECRET}/p.zip", "a") == (200, f"bytes of {SECRET}/p.zip".encode()), "the control"
    assert by_hand(gate_on_s3, "open/b/c.bin")[0] == 200
    assert by_hand(gate_on_s3, "open/%62/c.bin") == by_hand(gate_on_s3, "open/b/c.bin"), "decoded once"
    assert by_hand(gate_on_s3, "open/100%25.bin")[0] == 200, "and written anew"


def test_bucket_that_there_is_not_is_no_failure(gate, gate_on_s3):
    for url in (gate, gate_on_s3):
        status, body = by_hand(url, "nothing-here?list-type=2")
        assert (status, b"NoSuchBucket" in body) == (404, True)
        assert by_hand(url, "nothing-here/x")[0] == 404
        assert by_hand(url, f"{SECRET}?list-type=2")[1].count(b"p.zip") == 0
        assert by_hand(url, "open?list-type=2")[1].count(b"a.bin") == 1


@given(
    raw=st.lists(
        st.sampled_from(
            [*"ab./%25", "%2e", "%2f", "%5c", "..", "open", "mixed", "secret", SECRET, "//", "%00", "%23", "?", "#"]
        ),
        max_size=9,
    ).map("".join)
)
@settings(max_examples=examples(500), deadline=None)
def test_what_the_grammar_takes_is_one_place_and_stays_it(raw):
    try:
        bucket, key = bucket_and_key(raw.encode())
    except ValueError:
        return
    for again in (f"/{bucket}/{key}", unquote(f"/{bucket}/{key}")) if "%" not in key else (f"/{bucket}/{key}",):
        assert os.path.normpath(again) == f"/{bucket}/{key}".rstrip("/")
    assert not set(bucket) & set("%/?#@:\\ ")


def test_lists_leave_out_what_is_restricted(gate):
    listed = lambda bucket, token, **how: [  # noqa: E731
        o["path"] for batch in obstore.list(store(gate, bucket, token), **how) for o in batch
    ]
    assert listed("open", "b") == ["100%.bin", "a.bin", "b/c.bin"], "and nothing behind a link"
    assert listed("mixed", "a") == ["secret/x", "secretary"]
    assert listed("mixed", "b") == ["secretary"]
    assert listed(SECRET, "b") == []
    found = obstore.list_with_delimiter(store(gate, "mixed", "b"))
    assert (list(found["common_prefixes"]), [o["path"] for o in found["objects"]]) == ([], ["secretary"])
    page = get(gate, "open?list-type=2&max-keys=1", "b").text
    assert "<IsTruncated>true" in page
    assert "<NextContinuationToken>100%.bin" in page
    assert "b/c.bin" in get(gate, "open?list-type=2&continuation-token=a.bin", "b").text


@pytest.mark.parametrize("most", ["", "x", "-1", "%C2%B2", "%D9%A3", "9" * 5000, "1e3"])
def test_number_of_keys_that_is_none(gate, most):
    """Digits of other scripts, squares and thousands of digits are no reason to fail."""
    answer = get(gate, f"open?list-type=2&max-keys={most}", "b")
    assert (answer.status_code, "<MaxKeys>1000<" in answer.text) == (200, True)


def test_nothing_can_be_changed(gate):
    for method in ("PUT", "POST", "DELETE"):
        assert httpx.request(method, f"{gate}/open/a.bin", headers={"x-amz-security-token": "a"}).status_code == 405


def test_nobodys_downloads_keep_the_others_out(monkeypatch):
    """Until the last byte has gone: of each person so many, whatever the number of tokens that they have."""
    monkeypatch.setattr(fair_shares, "_EACH", 3)
    there, go = threading.Semaphore(0), asyncio.Event()

    async def slow(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        there.release()
        if "slow" in scope["path"]:
            await go.wait()
        await send({"type": "http.response.body", "body": b"x"})

    class Tokens(Known):
        def known(self, token: str) -> Person | None:
            return self.who(token[:1]) if token else None

    loops: list[asyncio.AbstractEventLoop] = []

    async def application(scope, receive, send) -> None:
        loops.append(asyncio.get_running_loop())
        await shared(scope, receive, send)

    shared = fair_shares.Shares(slow, Tokens())
    with served(application) as url, ThreadPoolExecutor(8) as pool:
        ask = lambda token, path="slow": httpx.get(f"{url}/{path}", headers={"x-amz-security-token": token}, timeout=30)  # noqa: E731
        waiting = [pool.submit(ask, f"a{n}") for n in range(3)]
        for _ in waiting:
            assert there.acquire(timeout=20)
        answer = ask("a9")
        assert (answer.status_code, "<Code>SlowDown<" in answer.text) == (503, True)
        assert ask("b", "fast").status_code == 200
        loops[0].call_soon_threadsafe(go.set)
        assert [w.result().status_code for w in waiting] == [200] * 3
        assert ask("a9", "fast").status_code == 200
    assert not shared._now


def test_who_has_read_the_months_share_is_told(gate, tally):
    tally.refused = {"bob": "You have read 1 TiB this month, which is all that you may."}
    assert "which is all that you may" in get(gate, "open/a.bin", "b").text
    assert get(gate, "open/a.bin", "a").status_code == 200


@pytest.mark.parametrize(
    ("header", "asked"),
    [("bytes=0-9", (0, 10)), ("bytes=5-", {"offset": 5}), ("bytes=-3", {"suffix": 3})],
)
def test_ranges(header, asked):
    assert part(header) == asked


def test_products_open_through_it_for_the_group_alone(on_s3, s3, tmp_path, monkeypatch):
    """Over a real S3 server with keys of its own; the lab's products, by the library as a user has it."""
    keys = tmp_path / "keys"
    keys.write_text(f"{os.environ['AWS_ACCESS_KEY_ID']}\n{os.environ['AWS_SECRET_ACCESS_KEY']}\n")
    told = lab(endpoint=s3)
    tally = Tally("", "")
    items = [i for i in gl.search("PEPS_S1_L1") if SECRET in str(i.to_dict())]
    open_items = gl.search("PEPS_S2_L1C", limit=1)
    want = gl.open_product(open_items[0])["r60m"].to_dataset().isel(x=slice(0, 64), y=slice(0, 64)).load()
    with served(made(told, Lake(told.datalake, keys), Known(), tally)) as url:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "lab")
        with dask.config.set({"geodes_lab.datalake.endpoint": url, "geodes_lab.cache.folder": str(tmp_path / "c2")}):
            monkeypatch.setenv("AWS_SESSION_TOKEN", "b")
            got = gl.open_product(open_items[0])["r60m"].to_dataset().isel(x=slice(0, 64), y=slice(0, 64)).load()
            name = next(iter(want.data_vars))
            np.testing.assert_array_equal(got[name].values, want[name].values)
            with pytest.raises(gl.GeodesError, match="cannot be read"):
                gl.open_product(items[0])
            monkeypatch.setenv("AWS_SESSION_TOKEN", "a")
            assert gl.open_product(items[0]).children
    assert tally._counted["bob", "sentinel2-l1c"] > 0
    assert tally._counted["alice", "RADAR"] > 0
    assert not tally._counted["bob", "RADAR"]


def test_what_the_accounts_do_not_take_is_kept():
    tally = Tally("http://127.0.0.1:9/", "t")
    tally.add("bob", "X", 5)

    async def tell() -> None:
        async with httpx.AsyncClient() as client:
            await tally.tell(client)

    asyncio.run(tell())
    tally.add("bob", "X", 2)
    assert tally._counted["bob", "X"] == 7


def test_authority_of_the_datalake_itself(tmp_path):
    """Without the file of `geodes_lab.credentials.tls` the gate does not believe a datalake that its own authority signed."""

    async def told(scope, receive, send):
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"5"), (b"last-modified", b"Wed, 25 Nov 2026 10:00:00 GMT")],
            }
        )
        await send({"type": "http.response.body", "body": b"bytes" if scope["method"] == "GET" else b""})

    authority, there = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(there))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with served(told, context) as url:
        lake = lab(endpoint=url).datalake
        with pytest.raises(Away):
            asyncio.run(Lake(lake, tmp_path / "none").get("open", "a", {}, True))
        with dask.config.set({"geodes_lab.datalake.ca": str(there)}):
            assert asyncio.run(Lake(lake, tmp_path / "none").get("open", "a", {}, True)).size == 5
