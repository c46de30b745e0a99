"""Import paths of before 0.1: each gives what it gave, and says where that is now."""

from __future__ import annotations

import importlib
import sys

import pytest

from geodes_lab._moved import MOVED, SPLIT


@pytest.fixture(autouse=True)
def unknown(monkeypatch):
    for former in (*MOVED, *SPLIT):
        monkeypatch.delitem(sys.modules, f"geodes_lab.{former}", raising=False)


@pytest.mark.parametrize(("former", "now"), sorted(MOVED.items()))
def test_former_module_is_the_one_of_now(former, now):
    module = importlib.import_module(f"geodes_lab.{now}")
    own = module.__spec__
    with pytest.warns(
        DeprecationWarning, match=rf"geodes_lab\.{former} is now geodes_lab\.{now}: import it from there"
    ):
        assert importlib.import_module(f"geodes_lab.{former}") is module
    assert module.__spec__ is own
    assert module.__spec__.name == f"geodes_lab.{now}"


@pytest.mark.parametrize(
    ("former", "name", "now"), [(former, *both) for former, names in SPLIT.items() for both in names.items()]
)
def test_name_of_a_module_that_was_split(former, name, now):
    with pytest.warns(DeprecationWarning, match=rf"geodes_lab\.{former}\.{name} is now geodes_lab\.{now}\.{name}"):
        there = getattr(importlib.import_module(f"geodes_lab.{former}"), name)
    assert there is getattr(importlib.import_module(f"geodes_lab.{now}"), name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        importlib.import_module(f"geodes_lab.{former}").nothing  # noqa: B018


def test_reader_of_stackstac_where_it_was():
    with pytest.warns(DeprecationWarning, match="reading.window"):
        from geodes_lab.reader import Reader
    assert Reader.__module__ == "geodes_lab.reading.window"


@pytest.mark.parametrize(("package", "name"), [("cube", "open_cube"), ("archive", "Archive")])
def test_name_that_was_in_a_module_which_is_a_package_now(package, name):
    module = importlib.import_module(f"geodes_lab.{package}")
    with pytest.warns(DeprecationWarning, match=rf"geodes_lab\.{package}\.{name} is now geodes_lab\."):
        assert getattr(module, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_what_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"geodes_lab\.nothing"):
        importlib.import_module("geodes_lab.nothing")
