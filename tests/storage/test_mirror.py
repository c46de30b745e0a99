"""Keys are resolved inside the mirror: whatever names an object, nothing outside is opened; and files of a server are not ours."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import dask
import pystac
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import geodes_lab as gl
from geodes_lab.catalog import quicklook
from geodes_lab.errors import GeodesError
from geodes_lab.storage import resolve
from geodes_lab.storage.location import ELSEWHERE, locate, object_of, place_of
from tests.support.examples import examples

pytestmark = pytest.mark.attack

HOST = "https://s3.datalake.cnes.fr"


@pytest.fixture
def mirror(tmp_path):
    """A mirror with one object, beside a secret."""
    root = tmp_path / "mirror"
    (root / "bucket" / "a").mkdir(parents=True)
    (root / "bucket" / "a" / "b.tif").write_bytes(b"an object")
    (tmp_path / "secret").write_bytes(b"a secret")
    with dask.config.set({"geodes_lab.datalake.mirror": str(root)}):
        yield root


def test_the_auditors_address_opens_no_file(mirror):
    for href in (
        f"{HOST}/x//etc/passwd",
        f"{HOST}/bucket//etc/passwd",
        f"{HOST}/bucket/%2Fetc/passwd",
        "s3://bucket//etc/passwd",
    ):
        with pytest.raises(GeodesError, match=r"is not an object of the bucket|has no valid bucket"):
            locate(href)
    item = pystac.Item("a", None, None, pystac.utils.str_to_datetime("2021-01-01T00:00:00Z"), {})
    item.add_asset("thumbnail", pystac.Asset(f"{HOST}/bucket//etc/passwd", roles=["thumbnail"]))
    assert quicklook.local(item) is None
    with pytest.raises(GeodesError):
        gl.open_product(f"{HOST}/bucket//etc/passwd")
    with pytest.raises(GeodesError):
        resolve.choose([f"{HOST}/bucket//etc/passwd"])


def test_what_is_in_the_mirror_is_still_found(mirror):
    for href in (
        f"{HOST}/bucket/a/b.tif",
        "s3://bucket/a/b.tif",
        f"{HOST}/bucket/a/b%2Etif",
        f"{HOST}/bucket/a/b.tif?X-Signature=x",
    ):
        assert locate(href).read(0, 9) == b"an object"
    assert locate("s3://bucket/a/").is_folder
    assert locate("s3://bucket/a/c.tif").scheme == "s3"


PARTS = st.sampled_from(
    ["", ".", "..", "...", "a", "b.tif", "bucket", "mirror", "secret", "etc", "passwd", "%2e%2e", "%2F", "..%2f", "\\", "..\\..", "~",
     "~root", "\x00", "\n", "%00", "{a}", "é", "a" * 300, "link", "?", "#", "*"]
)  # fmt: skip


@settings(max_examples=examples(400), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    parts=st.lists(PARTS | st.text(max_size=8), max_size=8),
    form=st.sampled_from(["https", "s3", "quoted", "gdal", "zip"]),
)
@example(parts=["x", "", "etc", "passwd"], form="https")
@example(parts=["bucket", "link", "secret"], form="s3")
@example(parts=["bucket", "..", "..", "secret"], form="quoted")
def test_no_key_leads_out_of_the_mirror(mirror, parts, form):
    if not (mirror / "bucket" / "link").is_symlink():
        (mirror / "bucket" / "link").symlink_to("../..")
    path = "/".join(parts)
    try:
        match form:
            case "https":
                place = locate(f"{HOST}/{path}")
            case "s3":
                place = locate(f"s3://{path}")
            case "quoted":
                place = locate(f"{HOST}/{quote(quote(path.encode('utf-8', 'surrogatepass'), safe=''), safe='/%')}")
            case "gdal":
                place = place_of(f"/vsis3/{path}")
            case _:
                place = object_of(f"/vsizip/{{/vsis3/{path}}}/member")
    except GeodesError:
        return
    if place.scheme == "file":
        assert Path(place.gdal).resolve().is_relative_to(mirror.resolve())
    else:
        assert place.scheme in ("s3", "http")
        assert not {"", ".", ".."} & set(place.path.removesuffix("/").split("/"))


def test_links_of_the_mirror_stay_in_it(mirror, tmp_path):
    (mirror / "bucket" / "inside.tif").symlink_to("a/b.tif")
    (mirror / "bucket" / "outside.tif").symlink_to(tmp_path / "secret")
    (mirror / "bucket" / "round").symlink_to("round")
    (mirror / "other").symlink_to(tmp_path)
    assert locate("s3://bucket/inside.tif").read(0, 9) == b"an object"
    for key in ("bucket/outside.tif", "other/secret"):
        with pytest.raises(GeodesError, match="leads out of the mirror"):
            locate(f"s3://{key}")
    assert locate("s3://bucket/round").scheme == "s3"
    # The mirror itself may be a link: what it is called is the operator's own affair.
    (tmp_path / "called").symlink_to(mirror)
    with dask.config.set({"geodes_lab.datalake.mirror": str(tmp_path / "called")}):
        assert locate("s3://bucket/a/b.tif").read(0, 9) == b"an object"


@pytest.mark.parametrize(
    "href",
    ["s3://B/a", "s3://ab/a", "s3://" + "a" * 64 + "/a", "s3://a..b/a", "s3://-ab/a", "s3:///a", "s3://bucket", "s3://bucket/", "s3://bucket/a//b",
     "s3://bucket/a?versionId=1", "s3://bucket/" + "a" * 1025, "s3://bucket/a\\b", f"{HOST}/bucket%2Fa/../b", f"{HOST}//bucket/a", "https://[/a",
     "http://host:port/a", "/vsis3/bucket", "ftp://host/a"],
)  # fmt: skip
def test_what_is_no_object_is_a_sentence(href):
    with pytest.raises(GeodesError) as told:
        place_of(href) if href.startswith("/vsi") else locate(href)
    assert str(told.value).endswith(".")


def test_only_plain_file_addresses_are_files_of_this_machine(tmp_path):
    path = tmp_path / "a b.tif"
    path.write_bytes(b"mine")
    for href in (
        str(path),
        path.as_uri(),
        path.as_uri().replace("file://", "file://localhost"),
        path.as_uri().replace("file://", "file:"),
    ):
        assert locate(href).read(0, 4) == b"mine"
    for href in (
        path.as_uri().replace("file://", "file://elsewhere"),
        f"{path.as_uri()}?x",
        f"{path.as_uri()}#x",
        f"{path}\0",
        "/" + "a" * 5000,
    ):
        with pytest.raises(GeodesError):
            locate(href)
    for href in (f"{ELSEWHERE}://{path}", f"{ELSEWHERE}:{path}"):
        with pytest.raises(GeodesError, match="a file on the machine of its catalogue"):
            locate(href)


def test_a_key_too_long_for_a_file_is_looked_for_on_s3(mirror):
    assert locate("s3://bucket/" + "a" * 300).scheme == "s3"
