"""The members of a product: found once for all who share a cache, read in a request each, and refused where they lie."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import obstore
import pytest

import geodes_lab as gl
from geodes_lab import GeodesError
from geodes_lab.archive import member_index
from geodes_lab.archive.archive import Archive
from geodes_lab.products.metadata import Document
from geodes_lab.storage.location import locate
from geodes_lab.storage.traffic import traffic

XML = b"<?xml version='1.0'?><a>" + b"".join(b"<b>%d</b>" % n for n in range(9000)) + b"</a>"
MEMBERS = {"P.SAFE/MTD.xml": XML, "P.SAFE/b.bin": bytes(range(256)) * 800, "P.SAFE/données/é.xml": b"<a>1</a>"}


class Pipe(io.RawIOBase):
    """A file that cannot be sought in: what is written to it has sizes behind the members."""

    def __init__(self, file):
        self.file = file

    def writable(self):
        return True

    def write(self, data):
        return self.file.write(data)


def write(
    path: Path,
    members: dict[str, bytes] | None = None,
    method: int = zipfile.ZIP_DEFLATED,
    change: Callable[[zipfile.ZipInfo], None] | None = None,
    comment: bytes = b"",
    large: bool = False,
    streamed: bool = False,
    before: bytes = b"",
) -> Path:
    with path.open("wb") as file:
        file.write(before)
        with zipfile.ZipFile(Pipe(file) if streamed else file, "w") as archive:
            archive.comment = comment
            for name, data in (MEMBERS if members is None else members).items():
                info = zipfile.ZipInfo(name)
                info.compress_type = method
                if change:
                    change(info)
                with archive.open(info, "w", force_zip64=large) as member:
                    member.write(data)
    return path


@pytest.fixture
def bucket(on_s3, sample) -> Iterator[Path]:
    folder = sample / "datalake" / "members"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def requests(call: Callable[[], object]) -> int:
    before = traffic.requests
    call()
    return traffic.requests - before


def extra(info: zipfile.ZipInfo) -> None:
    info.extra = struct.pack("<HH", 0x7075, 400) + bytes(400)  # more than is read on speculation


WAYS = {
    "deflated": {},
    "stored": {"method": zipfile.ZIP_STORED},
    "zip64": {"large": True},
    "data descriptors": {"streamed": True},
    "both": {"streamed": True, "large": True, "method": zipfile.ZIP_STORED},
    "comment": {"comment": b"what one says of it " * 3000},
    "something before it": {"before": b"#!/bin/sh\n" * 100},
    "long extra fields": {"change": extra},
}


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("where", ["disk", "s3"])
def test_members_are_read_however_they_were_written(bucket, tmp_path, where, way):
    path = write((bucket if where == "s3" else tmp_path) / "a.zip", **WAYS[way])
    href = "s3://members/a.zip" if where == "s3" else str(path)
    for _ in range(2):  # the second time from what is kept
        archive = Archive(href)
        assert {n: archive.read(n) for n in archive.names} == MEMBERS
        with zipfile.ZipFile(path) as oracle:
            for info in oracle.infolist():
                stored = (info.header_offset, info.file_size) if info.compress_type == zipfile.ZIP_STORED else None
                assert archive.range(info.filename) == stored
                if stored:
                    member = archive.member(info.filename)
                    assert member.read(0, member.size) == MEMBERS[info.filename]
        member_index._of.cache_clear()


def test_requests_are_two_for_the_list_and_one_for_each_member(bucket):
    write(bucket / "a.zip")
    archive = Archive("s3://members/a.zip")
    assert requests(lambda: archive.names) == 2, "its size, and its end"
    assert requests(lambda: [archive.read(n) for n in archive.names]) == 3
    assert requests(lambda: [Archive("s3://members/a.zip").names for _ in range(5)]) == 0
    member_index._of.cache_clear()
    assert requests(lambda: Archive("s3://members/a.zip").names) == 0, "as another process has it"
    write(bucket / "b.zip", change=extra)
    other = Archive("s3://members/b.zip")
    assert requests(lambda: other.read("P.SAFE/MTD.xml")) == 4, "what is behind the name was longer than expected"


def test_other_process_finds_the_list(bucket):
    write(bucket / "a.zip")
    Archive("s3://members/a.zip").range("P.SAFE/b.bin")
    code = """
import dask, sys
from geodes_lab.archive.archive import Archive
from geodes_lab.storage.traffic import traffic
dask.config.set({"geodes_lab.cache.folder": sys.argv[1], "geodes_lab.datalake.endpoint": sys.argv[2]})
archive = Archive("s3://members/a.zip")
print(len(archive.names), traffic.requests, len(archive.read("P.SAFE/MTD.xml")), traffic.requests)
"""
    folder, endpoint = (dask.config.get(f"geodes_lab.{k}") for k in ("cache.folder", "datalake.endpoint"))
    said = subprocess.run([sys.executable, "-c", code, folder, endpoint], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["3", "0", str(len(XML)), "1"]


@pytest.mark.parametrize("where", ["disk", "s3", "s3 with tags"])
def test_replaced_zip_is_read_as_it_is_now(bucket, tmp_path, where):
    folder = tmp_path if where == "disk" else bucket
    href = str(folder / "a.zip") if where == "disk" else "s3://members/a.zip"

    def put(*options: object) -> None:
        path = write(tmp_path / "new.zip", *options)
        if where == "s3 with tags":
            obstore.put(locate(href).store, "a.zip", path.read_bytes())
        else:
            shutil.copy(path, folder / "part")
            (folder / "part").replace(folder / "a.zip")

    put()
    archive = Archive(href)
    assert archive.read("P.SAFE/MTD.xml") == XML
    for later in (
        {"P.SAFE/other.xml": b"<c/>" * 50, "P.SAFE/MTD.xml": b"<new>" + XML + b"</new>"},
        {"P.SAFE/MTD.xml": b"<small/>"},
    ):
        put(later)
        assert archive.read("P.SAFE/MTD.xml") == later["P.SAFE/MTD.xml"]
        assert archive.names == set(later)
    put({"P.SAFE/x": b"1"}, zipfile.ZIP_STORED)
    with pytest.raises(GeodesError, match=r"has no member P\.SAFE/MTD\.xml"):
        archive.read("P.SAFE/MTD.xml")
    assert archive.member("P.SAFE/x").read(0, 5) == b"1"
    (folder / "a.zip").unlink()
    with pytest.raises(GeodesError, match=r"a\.zip (does not exist|cannot be read)"):
        archive.read("P.SAFE/x")


def test_list_that_was_kept_badly_is_read_anew(tmp_path):
    path = write(tmp_path / "a.zip")
    Archive(str(path)).read("P.SAFE/MTD.xml")
    kept = locate(path).cache_path("archive", "")
    whole = kept.read_bytes()
    assert len(whole) < 300
    for damaged in (b"", whole[:40], b"x" * 100, whole[:-1] + b"\0"):
        kept.write_bytes(damaged)
        member_index._of.cache_clear()
        assert Archive(str(path)).read("P.SAFE/MTD.xml") == XML
        assert kept.read_bytes() == whole


def test_many_threads_find_the_same(tmp_path, bucket):
    write(bucket / "a.zip")
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: Archive("s3://members/a.zip").read("P.SAFE/MTD.xml"), range(64)))
    assert found == {XML}
    assert locate("s3://members/a.zip").cache_path("archive", "").exists()
    assert not [p for p in (tmp_path / "cache").rglob("tmp*") if p.is_file()]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def link(info: zipfile.ZipInfo) -> None:
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16


def inner(path: Path) -> bytes:
    return write(path.with_name("inner.zip")).read_bytes()


REFUSED = {
    "empty": (lambda p: p.write_bytes(b""), r"is empty \(0 bytes\), not a zip"),
    "no zip": (lambda p: p.write_bytes(b"hello"), r"is not a zip \(5 bytes\)"),
    "cut": (lambda p: cut(write(p)), "is cut off after"),
    "nothing in it": (lambda p: write(p, {}), "is a zip without a file"),
    "climbs": (lambda p: write(p, {"a/../../b": b""}), r"'a/\.\./\.\./b', which leads out of the zip: refused"),
    "climbs backwards": (lambda p: write(p, {"..\\b": b""}), "which leads out of the zip: refused"),
    "absolute": (lambda p: write(p, {"/etc/passwd": b""}), "'/etc/passwd', which leads out of the zip: refused"),
    "drive": (lambda p: write(p, {"C:/b": b""}), "'C:/b', which leads out of the zip: refused"),
    "link": (lambda p: write(p, {"a": b"/etc/passwd"}, change=link), "contains the link 'a', .* refused"),
    "zip of a zip": (
        lambda p: write(p, {"a.zip": inner(p), "b.ZIP": b""}),
        r"contains 2 other zips, such as a\.zip: unpack",
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_is_no_product_is_refused_in_one_sentence(tmp_path, case):
    make, sentence = REFUSED[case]
    make(tmp_path / "a.zip")
    for _ in range(2):
        with pytest.raises(GeodesError, match=sentence) as error:
            gl.open_product(tmp_path / "a.zip")
        assert "\n" not in str(error.value)


def patched(path: Path, field: str, value: int, name: str = "P.SAFE/MTD.xml") -> Path:
    """Change what the list says of a member."""
    data, at = bytearray(path.read_bytes()), 0
    while (at := data.find(b"PK\x01\x02", at + 1)) > 0:
        if data[at + 46 : at + 46 + len(name)] == name.encode():
            offset, kind = {
                "flags": (8, "H"),
                "method": (10, "H"),
                "crc": (16, "I"),
                "packed": (20, "I"),
                "size": (24, "I"),
            }[field]
            struct.pack_into(f"<{kind}", data, at + offset, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("flags", 1, "is encrypted, which is not supported"),
        ("method", 9, r"not supported \(9\): pack the product again"),
        ("method", 14, r"not supported \(14\): pack the product again"),
        ("crc", 7, "is damaged"),
        ("packed", 90, "is damaged"),
        ("packed", 2**31, "list of members .* is damaged"),
        ("size", 100, "is damaged"),
        ("size", len(XML) + 1, "is damaged"),
        ("size", 2**31, "it claims to hold 2147483648 bytes in"),
        ("size", 70 * 2**20, "claims .* bytes"),
    ],
)
def test_members_that_are_not_what_the_list_says(tmp_path, field, value, sentence):
    path = patched(write(tmp_path / "a.zip"), field, value)
    with pytest.raises(GeodesError, match=sentence):
        Archive(str(path)).read("P.SAFE/MTD.xml")
    if "list of members" not in sentence:
        assert Archive(str(path)).read("P.SAFE/données/é.xml") == b"<a>1</a>", "the others are read"


def test_the_same_path_twice(tmp_path):
    def add(mode: str, *contents: bytes) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", mode) as archive:
            for content in contents:
                archive.writestr("a", content)

    for contents in ((b"1", b"2"), (b"1", b"1")):  # equal sums prove nothing: GDAL reads the first, zipfile the last
        with pytest.warns(UserWarning, match="Duplicate"):
            add("w", *contents)
        with pytest.raises(GeodesError, match="contains 'a' twice, and the two may differ: refused"):
            Archive(str(tmp_path / "a.zip")).read("a")


def test_stored_member_of_two_sizes(tmp_path):
    path = patched(write(tmp_path / "a.zip", method=zipfile.ZIP_STORED), "size", 70)
    with pytest.raises(GeodesError, match="gives two sizes for"):
        Archive(str(path)).range("P.SAFE/MTD.xml")


def test_capitals_are_as_good_as_small_letters_where_nothing_else_is_there(tmp_path):
    archive = Archive(str(write(tmp_path / "a.zip", {"p.safe/mtd_msil1c.XML": b"1"})))
    assert archive.find(r"MTD_MSIL1C\.xml", "metadata") == "p.safe/mtd_msil1c.XML"
    archive = Archive(str(write(tmp_path / "b.zip", {"a/MTD.xml": b"1", "a/mtd.xml": b"2"})))
    assert archive.matching(r"MTD\.xml") == ["a/MTD.xml"]


def test_a_member_that_is_missing_and_one_that_is_there_twice(tmp_path):
    archive = Archive(str(write(tmp_path / "a.zip", {f"{n}/MTD.xml": b"1" for n in "abc"})))
    with pytest.raises(GeodesError, match=r"has no picture: the product is incomplete; fetch it again"):
        archive.find(r"TCI\.jp2", "picture")
    with pytest.raises(GeodesError, match=r"has 3 files .* metadata \(a/MTD.xml, b/MTD.xml and 1 more\)") as refused:
        archive.find(r"MTD\.xml", "metadata")
    assert "incomplete" not in str(refused.value)


@pytest.fixture
def folder(product, tmp_path) -> Path:
    zipfile.ZipFile(product).extractall(tmp_path / "here")
    return tmp_path / "here" / f"{product.stem}.SAFE"


@pytest.mark.thorough
def test_product_is_found_in_whatever_holds_it(product, folder, tmp_path):
    deeper = {f"x/y/{folder.name}/{p.relative_to(folder)}": p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    renamed = shutil.copytree(folder, tmp_path / "renamed")
    want = gl.open_product(product)
    for path in (
        f"{folder}/",
        folder,
        folder.parent,
        renamed,
        write(tmp_path / "deeper.zip", deeper, zipfile.ZIP_STORED),
    ):
        found = gl.open_product(path)
        assert found.attrs["title"] == product.stem
        assert (
            found["r60m"].identical(want["r60m"])
            or (found["r60m"].coastal[:9, :9] == want["r60m"].coastal[:9, :9]).all()
        )


def test_folders_without_a_product(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.txt").touch()
    with pytest.raises(GeodesError, match="a folder, but not a product"):
        gl.open_product(tmp_path / "a")


def test_folder_of_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr("geodes_lab.archive.archive._MOST", 10)
    for n in range(11):
        (tmp_path / f"{n}.txt").touch()
    with pytest.raises(GeodesError, match="more than 10 files in it: give the product's own folder"):
        gl.open_product(tmp_path)


def test_member_of_a_folder_that_may_not_be_read(tmp_path):
    (tmp_path / "P.SAFE").mkdir()
    path = tmp_path / "P.SAFE" / "a.xml"
    path.write_bytes(b"<a/>")
    archive = Archive(str(tmp_path / "P.SAFE"))
    assert archive.read("P.SAFE/a.xml") == b"<a/>"
    path.unlink()
    with pytest.raises(GeodesError, match=r"a\.xml cannot be read \(No such file"):
        archive.read("P.SAFE/a.xml")
    path.touch()
    os.truncate(path, 65 * 2**20)
    with pytest.raises(GeodesError, match="metadata are never so large"):
        archive.read("P.SAFE/a.xml")


def entities(count: int) -> bytes:
    made = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, count))
    return f'<!DOCTYPE a [<!ENTITY e0 "x">{made}]><a>&e{count - 1};</a>'.encode()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "it is empty"),
        (bytes(100), "it holds no text"),
        (b"<a>\0</a>", "not well-formed"),
        (entities(20), "declares entities"),
        (entities(20).decode().encode("utf-16"), "declares entities"),
        (b'<?xml version="1.0" encoding="cp037"?>' + "<a/>".encode("cp037"), "not well-formed"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "declares entities"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a>&x;</a>', "undefined entity"),
        (b"<?xml version='1.0' encoding='UTF-8'?><a>\xe9</a>", "codec can't decode"),
        (b"<?xml version='1.0' encoding='klingon'?><a/>", "its encoding does not exist"),
        (b"<?xml version='1.0' encoding='base64'?><a/>", "its encoding does not exist"),
        (b"<a>" * 300_000, "no element found"),
        (b"<a/>" * 3_000_000, "more elements than any metadata"),
    ],
)
def test_documents_that_are_not_parsed(tmp_path, data, sentence):
    archive = Archive(str(write(tmp_path / "a.zip", {"P.SAFE/a.xml": data})))
    with pytest.raises(GeodesError, match=f"a.xml of .*a.zip is not valid XML .*{sentence}"):
        Document(archive, "P.SAFE/a.xml")


def test_documents_in_any_encoding(tmp_path):
    text = "<?xml version='1.0' encoding='{}'?><x:a xmlns:x='u'><x:b>é</x:b></x:a>"
    members = {f"{e}.xml": text.format(e).encode(e) for e in ("utf-8", "utf-16", "iso-8859-1", "utf-8-sig", "cp1252")}
    members["utf-8-sig.xml"] = members["utf-8-sig.xml"].replace(b"utf-8-sig", b"utf-8")
    members["deep.xml"] = b"<b>" * 200_000 + "é".encode() + b"</b>" * 200_000
    archive = Archive(str(write(tmp_path / "a.zip", members)))
    assert {Document(archive, n).root.findtext("b") for n in members if n != "deep.xml"} == {"é"}
    assert sum(1 for _ in Document(archive, "deep.xml").root.iter()) == 200_000
