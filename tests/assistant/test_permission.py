"""Who may start `geodes-lab mcp`, with whose settings, and how other programs find it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner
from traitlets import List, default
from traitlets.config import Config, Configurable
from traitlets.config.loader import PyFileConfigLoader

from geodes_lab.assistant import declaration
from geodes_lab.cli import main
from hub.singleuser import assistant as offering
from tests.support.assistant import PROGRAM, assistant, lab
from tests.support.paths import TOP


@pytest.mark.parametrize("arguments", [["mcp"], ["mcp", "--config"]])
def test_operator_forbids_it(monkeypatch, arguments):
    monkeypatch.setenv("GEODES_LAB_ASSISTANT", "forbidden")
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "The operator of this lab does not allow assistants" in result.stderr


def test_missing_extra_is_named():
    code = "import sys; sys.modules['mcp'] = None; from geodes_lab.cli import main; main(['mcp'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert (
        "geodes-lab mcp needs mcp, which is not installed: install it with pip install 'geodes-lab[assistant]'"
        in done.stderr
    )


SERVER = """
    import sys
    from pathlib import Path
    from mcp.client.stdio import get_default_environment
    from tests.support.assistant import assistant
    assert not any(name.startswith(("DASK", "GEODES")) for name in get_default_environment())
    with assistant({}, Path(sys.argv[1])) as client:
        print(client.ask("search", collections="PEPS_S2_L1C", limit=1).splitlines()[0])
"""


@pytest.mark.thorough
def test_settings_are_those_of_the_server_that_it_is_started_in(sample, tmp_path):
    """The SDK's client, as most do, passes nothing on of the environment that it is in."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SERVER), str(tmp_path)],
        env=lab(sample, tmp_path, GEODES_LAB_ADDRESS="http://127.0.0.1:8000", PYTHONPATH=str(TOP)),
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "1 product of more\n", done.stderr[-3000:]


PARENT = """
    import os, subprocess, sys
    done = subprocess.run(sys.argv[1:], env={"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(done.stdout, done.stderr)
"""
JOINS = """
    import os
    from geodes_lab.assistant import permission
    permission.join_server()
    print(os.environ.get("GEODES_LAB_X"), os.environ["PATH"])
"""


def below(environment: dict[str, str], *command: str) -> str:
    """What a program prints that gets nothing of its parent's environment but PATH."""
    return subprocess.check_output(
        [sys.executable, "-c", textwrap.dedent(PARENT), *command], text=True, env={"PATH": "/usr/bin", **environment}
    )


def test_who_is_no_server_of_a_lab_is_not_asked():
    joins = (sys.executable, "-c", textwrap.dedent(JOINS))
    assert below({"GEODES_LAB_X": "1"}, *joins).split() == ["None", "/usr/bin"]
    assert below({"GEODES_LAB_X": "1", "GEODES_LAB_ADDRESS": "x"}, *joins).split() == ["1", "/usr/bin"]


def test_client_that_passes_nothing_on_is_no_way_around_the_operator():
    told = below({"GEODES_LAB_ADDRESS": "x", "GEODES_LAB_ASSISTANT": "forbidden"}, PROGRAM, "mcp")
    assert "does not allow assistants" in told


@pytest.mark.thorough
def test_declaration_starts_it_and_has_no_key(sample, tmp_path):
    environment = lab(
        sample, tmp_path, GEODES_API_KEY="a-key-of-mine", DASK_GEODES_LAB__CATALOG__PROFILES__X__TOKEN="a-token-of-mine",
        DASK_GEODES_LAB__CATALOG__PROFILES__X__URL="https://me:a-password@db.geodes.example/",
    )  # fmt: skip
    text = subprocess.run(
        [PROGRAM, "mcp", "--config"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    for secret in ("a-key-of-mine", "a-token-of-mine", "a-password"):
        assert secret not in text
    told = json.loads(text)["mcpServers"]["geodes-lab"]
    assert told["env"]["DASK_GEODES_LAB__DATALAKE__MIRROR"] == str(sample / "datalake")
    with assistant(told["env"], tmp_path, told["command"], *told["args"]) as client:
        assert client.ask("docs", query="cube")


class PersonaManager(Configurable):
    """What jupyter-ai-persona-manager 0.3 has: the type of its setting, and a default that depends on what is installed."""

    builtin_mcp_servers = List(allow_none=True).tag(config=True)

    @default("builtin_mcp_servers")
    def _default_builtin_mcp_servers(self):
        return [{"type": "http", "name": "Jupyter MCP Server", "url": "http://localhost:3001/mcp", "headers": []}]


@pytest.mark.parametrize("wish", ["", "hidden", "forbidden", "offered"])
def test_assistants_are_told_of_it_only_where_the_operator_offers_it(monkeypatch, tmp_path, wish):
    monkeypatch.setenv("GEODES_LAB_ASSISTANT", wish)
    monkeypatch.setenv("GEODES_LAB_MCP", "")
    configuration = Config()
    offering.offer(configuration, tmp_path)
    servers = PersonaManager(config=configuration).builtin_mcp_servers
    assert servers[0]["name"] == "Jupyter MCP Server", "what jupyter-ai has by itself stays"
    path = tmp_path / "mcp.json"
    if wish != "offered":
        assert len(servers) == 1
        assert not path.exists()
        return
    assert servers[1:] == [{"name": "geodes-lab", "command": PROGRAM, "args": ["mcp"], "env": []}]
    assert json.loads(path.read_text()) == declaration.for_clients()
    assert path.stat().st_mode & 0o077 == 0
    assert offering.os.environ["GEODES_LAB_MCP"] == str(path)


def test_server_of_a_person_is_configured_so(monkeypatch):
    """The lab's configuration of Jupyter, as Jupyter loads it."""
    from jupyterlab import commands

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(commands, "_yarn_config", commands._yarn_config)
    for name in ("JUPYTER_RUNTIME_DIR", "GEODES_LAB_MCP"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("GEODES_LAB_ASSISTANT", "offered")
    monkeypatch.setenv("GEODES_LAB_WAITING", "no")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # the path of a socket is short
        monkeypatch.setenv("GEODES_LAB_RUNTIME", folder)
        configuration = PyFileConfigLoader(str(TOP / "hub" / "singleuser" / "jupyter_server_config.py")).load_config()
        assert json.loads((Path(folder) / "mcp.json").read_text()) == declaration.for_clients()
    assert PersonaManager(config=configuration).builtin_mcp_servers[1]["name"] == "geodes-lab"
    # No start waits for Yarn.
    monkeypatch.setattr(subprocess, "check_output", None)
    assert commands.AppOptions().registry == commands.YARN_DEFAULT_REGISTRY
