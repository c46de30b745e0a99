"""The measure of homes: what it counts, and what it leaves out."""

from __future__ import annotations

import os
from pathlib import Path

from geodes_lab.util.disk import disk_use


def test_size_of_a_folder_counts_no_link_and_goes_to_any_depth(tmp_path):
    (tmp_path / "one").write_bytes(os.urandom(50_000))
    os.link(tmp_path / "one", tmp_path / "again")
    (tmp_path / "away").symlink_to("/usr")
    assert 50_000 <= disk_use.of(tmp_path) < 80_000
    assert disk_use.of(Path("/nowhere")) is None, "and not 0"
    deep = tmp_path / "deep"
    deep.mkdir()
    here = os.open(deep, os.O_RDONLY)
    for _ in range(40):  # longer than a path may be, so that it cannot be named
        os.mkdir("x" * 200, dir_fd=here)
        below = os.open("x" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    descriptor = os.open("hidden", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(descriptor, os.urandom(500_000))
    os.close(descriptor)
    os.close(here)
    assert disk_use.of(deep) > 500_000


def test_measure_that_takes_too_long_is_given_up(tmp_path):
    assert disk_use.of(tmp_path, patience=0) is None
