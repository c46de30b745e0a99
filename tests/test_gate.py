"""The gate before the datalake: what it gives is what is there, what is restricted it gives to nobody else, and it counts."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import dask
import httpx
import numpy as np
import obstore
import pytest
import trustme
from data.gate import made
from data.lake import Away, Lake, part
from data.tally import Tally
from obstore.store import S3Store
from person import Hub, Person
from served import served

import geodes_lab as gl
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.reading import read

SECRET = "sentinel1-slc"


class Known(Hub):
    """A hub of two people."""

    def who(self, token: str) -> Person:
        people = {"a": Person("alice", frozenset({"radar"})), "b": Person("bob", frozenset({"geodes"}))}
        return people.get(token, Person())

    known = who  # nobody is to be asked


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    for name in ("open/a.bin", "open/b/c.bin", "mixed/secret/x", "mixed/secretary", f"{SECRET}/p.zip"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.urandom(3_000_000) if name == "open/a.bin" else name.encode())
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


@pytest.mark.attack
def test_who_is_not_known_gets_nothing(gate):
    for token in ("", "x"):
        reply = get(gate, "open/a.bin", token)
        assert reply.status_code == 403
        assert "<Code>AccessDenied" in reply.text or "<Code>InvalidToken" in reply.text
    assert get(gate, "open/a.bin", Authorization="token b").status_code == 200


@pytest.mark.attack
def test_restricted_is_for_the_group_alone(gate):
    for place in (f"{SECRET}/p.zip", f"{SECRET}/not-there", "mixed/secret/x"):
        reply = get(gate, place, "b")
        assert reply.status_code == 403, place
        assert "bob may not read RADAR: it is for members of radar. Ask desk@example.org." in reply.text
    assert get(gate, f"{SECRET}/p.zip", "a").content == f"{SECRET}/p.zip".encode()
    assert get(gate, f"{SECRET}/not-there", "a").status_code == 404
    assert get(gate, "mixed/secretary", "b").status_code == 200, "another name that begins alike"
    with pytest.raises(obstore.exceptions.PermissionDeniedError):
        obstore.get(store(gate, SECRET, "b"), "p.zip")


@pytest.mark.attack
@pytest.mark.parametrize(
    "path",
    [
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
    ],
)
def test_no_other_way_of_writing_leads_around_a_rule(gate, lake, path):
    # By hand, since clients straighten what they are given.
    import http.client
    from urllib.parse import urlsplit

    connection = http.client.HTTPConnection(urlsplit(gate).netloc)
    connection.putrequest("GET", f"/{path}", skip_accept_encoding=True)
    connection.putheader("x-amz-security-token", "b")
    connection.endheaders()
    reply = connection.getresponse()
    assert reply.status in (400, 403, 404), reply.read()
    connection.close()


@pytest.mark.attack
def test_lists_leave_out_what_is_restricted(gate):
    listed = lambda bucket, token, **how: [  # noqa: E731
        o["path"] for batch in obstore.list(store(gate, bucket, token), **how) for o in batch
    ]
    assert listed("open", "b") == ["a.bin", "b/c.bin"]
    assert listed("mixed", "a") == ["secret/x", "secretary"]
    assert listed("mixed", "b") == ["secretary"]
    assert listed(SECRET, "b") == []
    found = obstore.list_with_delimiter(store(gate, "mixed", "b"))
    assert (list(found["common_prefixes"]), [o["path"] for o in found["objects"]]) == ([], ["secretary"])
    page = get(gate, "open?list-type=2&max-keys=1", "b").text
    assert "<IsTruncated>true" in page
    assert "<NextContinuationToken>a.bin" in page
    assert "b/c.bin" in get(gate, "open?list-type=2&continuation-token=a.bin", "b").text


@pytest.mark.attack
def test_nothing_can_be_changed(gate):
    for method in ("PUT", "POST", "DELETE"):
        assert httpx.request(method, f"{gate}/open/a.bin", headers={"x-amz-security-token": "a"}).status_code == 405


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
            with pytest.raises(gl.GeodesError, match="may not be read"):
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
    """Without the file of `geodes_lab.datalake.ca` the gate does not believe a datalake that its own authority signed."""

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
