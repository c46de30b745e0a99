"""One folder in place of another: never half, never nothing."""

from __future__ import annotations

import pytest

from geodes_lab.util import whole_folder


@pytest.fixture(params=[True, False], ids=["exchanged", "renamed twice"])
def files(request, tmp_path, monkeypatch):
    """A file system that exchanges two names, if the one of the tests does, and one that does not."""
    if not request.param:
        monkeypatch.setattr(whole_folder, "_exchanged", lambda one, other: False)
    for name in ("new", "cube.zarr"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "what").write_text(name)
    return tmp_path


def test_takes_the_place_and_leaves_nothing_behind(files):
    whole_folder.put(files / "new", files / "cube.zarr")
    assert (files / "cube.zarr" / "what").read_text() == "new"
    assert [p.name for p in files.iterdir()] == ["cube.zarr"]


def test_end_between_two_renames_is_healed(files):
    (files / "cube.zarr").rename(files / ".cube.zarr.1a2b.old")
    whole_folder.heal(files / "cube.zarr")
    assert (files / "cube.zarr" / "what").read_text() == "cube.zarr"
    whole_folder.heal(files / "cube.zarr")
    whole_folder.put(files / "new", files / "cube.zarr")
    assert (files / "cube.zarr" / "what").read_text() == "new"
