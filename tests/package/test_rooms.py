"""The rooms of the house: CONTRIBUTING's table is import-linter's, and no folder is fuller than a reader can take in."""

from __future__ import annotations

import re
import tomllib

from tests.support.paths import TOP


def test_table_of_the_rooms_has_each_layer_of_import_linter():
    (layers, *_) = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    ruled = {
        (floor, room.strip().removeprefix("geodes_lab."))
        for floor, rooms in enumerate(layers["layers"], 1)
        for room in rooms.split("|")
    }
    table = re.findall(r"^\| (\d+) \| (`[^|]*`) \|", (TOP / "CONTRIBUTING.md").read_text(), re.M)
    assert {(int(floor), room) for floor, rooms in table for room in re.findall(r"`(\w+)/?`", rooms)} == ruled
    packages = {path.parent.name for path in (TOP / "geodes_lab").glob("*/__init__.py")}
    modules = {path.stem for path in (TOP / "geodes_lab").glob("[a-z]*.py")}
    assert {room for _, room in ruled} == packages | modules


def test_folders_have_at_most_18_files():
    for top in ("geodes_lab", "hub", "kernels"):
        for folder in (TOP / top).rglob("__init__.py"):
            files = [file.name for file in folder.parent.glob("*.py") if file.name != "__init__.py"]
            assert len(files) <= 18, f"{folder.parent.relative_to(TOP)}: {sorted(files)}"
