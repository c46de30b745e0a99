"""A kernel that waits takes what the server gives, and begins anew if what it has imported no longer holds."""

import builtins
import gc
import importlib
import io
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from geodes_lab.environments import imports_ahead, waiting
from geodes_lab.environments.imports_ahead import Ahead


class Began(Exception):
    """The process would be replaced."""


@pytest.fixture
def person(tmp_path, monkeypatch):
    """A home with settings of Dask, in a process whose environment and folder are put back."""
    (tmp_path / ".config" / "dask").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    for name, value in (("HOME", str(tmp_path)), ("MPLBACKEND", ""), ("GONE", "before"), ("NEW", "before")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("DASK_CONFIG", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "packages")])
    monkeypatch.setattr(sys, "argv", ["kernel.py", waiting.ARGUMENT])
    monkeypatch.setattr(waiting, "_MODULES", ("json", "no_such_package", "csv"))
    monkeypatch.setattr(waiting, "LAST", ("this_comes_last",))

    def began(python, arguments):
        raise Began(arguments)

    monkeypatch.setattr(os, "execv", began)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def waited(text: bytes):
    """Wait, with a server that has written this."""
    read, write = os.pipe()
    os.write(write, text)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        return waiting.wait(pipe)


def start(folder):
    return json.dumps(
        {
            "arguments": ["kernel.py", "-f", "x.json"],
            "environment": {"NEW": "1", "GONE": None},
            "folder": str(folder / "notebooks"),
        }
    ).encode()


def test_it_becomes_what_the_server_says(person):
    left = waited(start(person))
    assert left == ["json", "no_such_package", "csv", "this_comes_last"]  # the server had written before it began
    assert (os.environ["NEW"], os.environ.get("GONE")) == ("1", None)
    assert Path.cwd() == person / "notebooks"
    assert sys.argv == ["kernel.py", "-f", "x.json"]
    assert gc.isenabled()


def test_a_server_that_ends_ends_it(person):
    with pytest.raises(SystemExit):
        waited(b"")


@pytest.mark.parametrize("change", ["settings", "a package", "matplotlib", "a module that fails"])
def test_it_begins_anew_after_a_change(person, monkeypatch, change):
    (person / "packages").mkdir()
    (person / ".config" / "dask" / "mine.yaml").write_text("a: 1")
    until = waiting._import_until

    def changed(pipe):
        left = until(pipe)
        if change == "settings":
            (person / ".config" / "dask" / "mine.yaml").write_text("a: 1000")
        elif change == "a package":
            (person / "packages" / "numpy").mkdir()
            os.utime(person / "packages", ns=(1, 1))
        elif change == "matplotlib":
            (person / "notebooks" / "matplotlibrc").touch()
        else:
            return None
        return left

    monkeypatch.setattr(waiting, "_import_until", changed)
    with pytest.raises(Began) as replaced:
        waited(start(person))
    assert replaced.value.args[0][1:] == ["kernel.py", "-f", "x.json"]
    assert os.environ["NEW"] == "1"  # in the environment of the kernel


def test_settings_that_imports_write_are_no_change(person, monkeypatch):
    monkeypatch.setattr(waiting, "_import_until", lambda pipe: (person / ".config" / "dask" / "new.yaml").touch() or [])
    assert waited(start(person)) == []


def test_a_handler_made_meanwhile_writes_to_the_stream_of_later(monkeypatch, capsys):
    with waiting._as_in_a_kernel():
        handler = logging.StreamHandler()
        print("not", end="")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    handler.emit(logging.LogRecord("a", 30, "", 0, "seen", (), None))
    assert sys.stderr.getvalue() == "seen\n"


def test_imports_stop_while_a_cell_runs(tmp_path, monkeypatch):
    held = threading.Event()
    (tmp_path / "ahead_two.py").touch()
    (tmp_path / "ahead_one.py").write_text("import builtins\nbuiltins.ahead_of_the_test.wait(30)\n")
    monkeypatch.setattr(builtins, "ahead_of_the_test", held, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    ahead = Ahead(["ahead_one", "no_such_package", "ahead_two"])
    threading.Timer(0.05, held.set).start()
    ahead.pause()  # waits for the one that is being imported
    assert "ahead_two" not in sys.modules
    assert not ahead.wait(0)
    ahead.go_on()
    assert ahead.wait(30)
    assert {"ahead_one", "ahead_two"} <= set(sys.modules)


def test_what_has_more_to_do_is_called_again_until_it_is_done(tmp_path, monkeypatch):
    (tmp_path / "ahead_steps.py").write_text(
        "steps = []\ndef step():\n    steps.append(0)\n    return len(steps) < 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert Ahead(["ahead_steps:step"]).wait(30)
    assert len(importlib.import_module("ahead_steps").steps) == 3


def test_what_nobody_waits_for_comes_after_a_rest(tmp_path, monkeypatch):
    for name in ("needed_soon", "needed_by_nobody"):
        (tmp_path / f"{name}.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(imports_ahead, "QUIET", 3600)
    ahead = Ahead(["needed_soon"], ["needed_by_nobody"])
    assert not ahead.wait(0.5)
    assert ("needed_soon" in sys.modules, "needed_by_nobody" in sys.modules) == (True, False)
    monkeypatch.setattr(imports_ahead, "QUIET", 0.1)
    assert Ahead(["needed_soon"], ["needed_by_nobody"]).wait(30)
    assert "needed_by_nobody" in sys.modules


def test_docstrings_that_are_written_later_are_those_that_param_writes():
    """Of classes of holoviews, in a process that puts them off and in one that does not."""
    told = "import hashlib, holoviews as hv, param\n"
    told += "known = [hv.Image, hv.RGB, hv.opts, hv.DynamicMap, hv.extension, hv.core.Dimensioned]\n"
    told += "class Mine(param.Parameterized):\n    'Mine.'\n    depth = param.Number(3, doc='Depth in metres.')\n"
    told += "print([hashlib.sha256(k.__doc__.encode()).hexdigest() for k in known], 'Depth in metres' in Mine.__doc__)"
    begin = "import os\nfrom geodes_lab.environments import descriptions, waiting\nwith waiting._as_in_a_kernel():\n"
    later = (
        "    import param\n    descriptions.postpone()\n    import holoviews\n    before = holoviews.Image.__doc__\n"
    )
    later += (
        "    while descriptions.write(): pass\n    assert 'rtol' in holoviews.Image.__doc__ and 'rtol:' not in before\n"
    )
    at_once, put_off = (
        subprocess.check_output([sys.executable, "-c", f"{begin}{how}{told}"], text=True)
        for how in ("    import holoviews\n", later)
    )
    assert put_off == at_once
    assert at_once.endswith("True\n")


@pytest.mark.slow
def test_what_is_imported_early_is_as_in_a_kernel():
    """Packages that look for a kernel when they are imported find one; the others are looked at for new ones that ask."""
    code = (
        "import os, sys\nfrom geodes_lab.environments import waiting\n"
        "assert waiting._import_until(os.fdopen(os.pipe()[0], 'rb')) == []\n"
        "import builtins, holoviews, pandas\n"
        "print(holoviews.extension is holoviews.ipython.notebook_extension, pandas.get_option('display.max_columns'))\n"
        "print(hasattr(builtins, 'get_ipython'), hasattr(builtins, '__IPYTHON__'), 'matplotlib.pyplot' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["True 20", "False False False"], done.stderr
