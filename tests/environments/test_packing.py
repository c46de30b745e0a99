"""One's own packages in a file for workers elsewhere: the same file each time, and nothing else is unpacked."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import geodes_lab as gl
from geodes_lab.environments import packing, unpacking
from geodes_lab.environments.overlay import Overlay
from geodes_lab.environments.packing import Contents
from tests.environments.test_overlay import wheel

MOST = 2**20


@pytest.fixture
def overlay(tmp_path, monkeypatch) -> Overlay:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    overlay = Overlay.named("default", tmp_path / "environments").make()
    overlay.install([str(wheel(tmp_path, "tinystorms", "1.0"))])
    return overlay


def written(path: Path, pack: packing.Pack) -> Path:
    with pack.file:
        pack.file.seek(0)
        path.write_bytes(pack.file.read())
    return path


@pytest.mark.thorough
def test_pack_is_the_same_each_time_and_is_unpacked_as_it_was(overlay, tmp_path):
    one, other = packing.pack(overlay, MOST), packing.pack(overlay, MOST)
    assert one is not None
    assert other is not None
    assert one.contents == other.contents
    again = Overlay.named("again", tmp_path / "environments").make()
    again.install([str(tmp_path / "tinystorms-1.0-py3-none-any.whl")])
    os.utime(again.packages / "tinystorms" / "__init__.py", (1, 1))
    third = packing.pack(again, MOST)
    assert third is not None
    assert third.contents.sha256 == one.contents.sha256, "where and when it was installed changes nothing"
    assert one.contents.distributions == {"tinystorms": "1.0"}
    assert one.contents.platform == ""
    assert one.left_out == ()
    folder = tmp_path / "worker"
    folder.mkdir()
    file = written(tmp_path / "pack.zip", one)
    place = unpacking.unpack(file, one.contents, folder)
    assert (place / "tinystorms" / "__init__.py").read_text() == "VALUE = 42\n"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert [p.name for p in folder.iterdir()] == [place.name]
    file.unlink()
    assert unpacking.unpack(file, one.contents, folder) == place, "what is there already is used"


def test_nothing_of_one_s_own_is_no_pack(tmp_path):
    assert packing.pack(Overlay.named("bare", tmp_path).make(), MOST) is None


def test_what_leads_elsewhere_is_left_out_and_named(overlay, tmp_path):
    (tmp_path / "secret").write_text("s3cr3t")
    (overlay.packages / "tinystorms" / "link.py").symlink_to(tmp_path / "secret")
    (overlay.packages / "linked").symlink_to(tmp_path)
    (overlay.packages / "__editable__.mine.pth").write_text(str(tmp_path))
    pack = packing.pack(overlay, MOST)
    assert pack is not None
    assert pack.left_out == ("__editable__.mine.pth", "linked")
    with zipfile.ZipFile(pack.file) as archive:
        assert not [n for n in archive.namelist() if "link" in n or n.endswith((".pth", ".pyc"))]
    pack.file.close()


def test_too_large_too_many_and_closed_are_sentences(overlay, monkeypatch):
    with pytest.raises(gl.GeodesError, match=r"they have \d+ B in 4 files, and at most 10 B in"):
        packing.pack(overlay, 10)
    monkeypatch.setattr(packing, "MOST_FILES", 3)
    with pytest.raises(gl.GeodesError, match="in 4 files"):
        packing.pack(overlay, MOST)


def test_compiled_modules_are_for_their_machines_alone(overlay, tmp_path):
    (overlay.packages / "tinystorms" / "fast.so").write_bytes(b"\x7fELF")
    pack = packing.pack(overlay, MOST)
    assert pack is not None
    assert pack.contents.platform.startswith("linux")
    file = written(tmp_path / "pack.zip", pack)
    with pytest.raises(gl.GeodesError, match="compiled for linux-s390x, and this machine is linux"):
        unpacking.unpack(file, replace(pack.contents, platform="linux-s390x"), tmp_path)


def zipped(*members: tuple[str, bytes, int]) -> tuple[bytes, Contents]:
    """A file as a stranger makes it, with contents that fit it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data, mode in members:
            info = zipfile.ZipInfo("x")
            info.filename, info.external_attr, info.create_system = name, mode << 16, 3
            archive.writestr(info, data)
    data = made.getvalue()
    total = sum(len(d) for _, d, _ in members)
    return data, Contents(hashlib.sha256(data).hexdigest(), len(data), total, len(members))


FILE = stat.S_IFREG | 0o644


@pytest.mark.attack
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "members",
    [
        [("../out.py", b"x", FILE)],
        [("a/../../out.py", b"x", FILE)],
        [("/tmp/out-of-a-pack.py", b"x", FILE)],
        [("..\\out.py", b"x", FILE)],
        [("C:/out.py", b"x", FILE)],
        [("a/link", b"/etc/passwd", stat.S_IFLNK | 0o777)],
        [("a/fifo", b"", stat.S_IFIFO | 0o644)],
        [("start.pth", b"import os", FILE)],
        [("a.py", b"1", FILE), ("a.py", b"2", FILE)],
        [("a.py", b"1", FILE), ("a.py/b.py", b"2", FILE)],
        [("a/", b"", stat.S_IFDIR | 0o755)],
    ],
    ids=lambda members: members[0][0],
)
def test_file_that_is_no_pack_writes_nothing(members, tmp_path):
    data, contents = zipped(*members)
    (folder := tmp_path / "in" / "worker").mkdir(parents=True)
    (file := tmp_path / "pack.zip").write_bytes(data)
    with pytest.raises(gl.GeodesError):
        unpacking.unpack(file, contents, folder)
    assert list(folder.iterdir()) == []
    assert [p.name for p in tmp_path.rglob("*")].count("out.py") == 0
    assert not Path("/tmp/out-of-a-pack.py").exists()


@pytest.mark.attack
def test_other_file_than_was_sent_or_larger_than_said_is_refused(overlay, tmp_path):
    data, contents = zipped(("a.py", b"x" * 5000, FILE), ("b.py", b"y", FILE))
    (file := tmp_path / "pack.zip").write_bytes(data)
    for wrong, why in (
        (replace(contents, sha256="0" * 64), "what has arrived is not what was sent"),
        (replace(contents, size=contents.size - 1), "what has arrived is not what was sent"),
        (replace(contents, unpacked=5000), "larger than it should be"),
        (replace(contents, files=1), "other members than it should"),
    ):
        with pytest.raises(gl.GeodesError, match=why):
            unpacking.unpack(file, wrong, tmp_path)
    # One that says that it is small, and is not: zipfile reads what the header says, and its sum is wrong.
    lying = data.replace((5000).to_bytes(4, "little"), (50).to_bytes(4, "little"))
    file.write_bytes(lying)
    told = Contents(hashlib.sha256(lying).hexdigest(), len(lying), 51, 2)
    with pytest.raises(gl.GeodesError, match="the file is damaged"):
        unpacking.unpack(file, told, tmp_path)
    assert [p.name for p in tmp_path.iterdir() if "software" in p.name] == []


@given(st.binary(max_size=300))
def test_bytes_that_are_no_zip_are_one_sentence(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("bytes")
    (file := folder / "pack.zip").write_bytes(data)
    with pytest.raises(gl.GeodesError, match="damaged"):
        unpacking.unpack(file, Contents(hashlib.sha256(data).hexdigest(), len(data), 10**6, 100), folder)


def test_folder_that_cannot_be_written_is_said(tmp_path):
    data, contents = zipped(("a.py", b"x", FILE))
    (file := tmp_path / "pack.zip").write_bytes(data)
    with pytest.raises(gl.GeodesError, match=r"cannot be unpacked into .*nowhere \(No such file"):
        unpacking.unpack(file, contents, tmp_path / "nowhere")


def test_what_is_imported_already_in_another_version_is_named(tmp_path):
    """In a process of its own: its path changes."""
    for version in ("1.0", "2.0"):
        folder = tmp_path / version
        (folder / "tinystorms").mkdir(parents=True)
        (folder / "tinystorms" / "__init__.py").write_text(f"VERSION = '{version}'\n")
        (about := folder / f"tiny_storms-{version}.dist-info").mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: Tiny_Storms\nVersion: {version}\n")
        (about / "RECORD").write_text(f"tinystorms/__init__.py,,\ntiny_storms-{version}.dist-info/METADATA,,\n")
    code = (
        "import sys; from pathlib import Path; from geodes_lab.environments.packing import Contents\n"
        "from geodes_lab.environments.unpacking import enter\n"
        f"top = Path({str(tmp_path)!r})\n"
        "told = lambda v: Contents('', 0, 0, 0, {'tiny-storms': v})\n"
        "print(enter(top / '1.0', told('1.0')), enter(top / '2.0', told('2.0')), sep='; ')\n"
        "import tinystorms; print(tinystorms.VERSION)\n"
        "print(enter(top / '1.0', told('1.0')), [p for p in sys.path if p.startswith(str(top))] == [str(top / '1.0')])\n"
    )
    lines = subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()
    assert lines == ["[]; []", "2.0", "['tiny-storms 1.0 (2.0 is in use)'] True"]
