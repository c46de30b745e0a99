"""A lab whose Python people's accounts cannot run says so at its start, and to who wants a server: it starts nobody's."""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from traitlets.config.loader import PyFileConfigLoader
from traitlets.log import get_logger

from hub.servers import accounts, spawning
from tests.support.paths import TOP

SENTENCE = "The accounts of users cannot run /x/python: the folder /x is closed to them."


@pytest.fixture
def lab(tmp_path, monkeypatch):
    file = {
        "state": str(tmp_path), "address": "https://lab.geodes.example", "contact": "the desk",
        "login": {"kind": "oidc", "oidc": {"issuer": "https://sso.geodes.example", "client_id": "lab"}},
        "servers": {"kind": "accounts"}, "profiles": {"S": {"title": "Small"}}, "groups": {"geodes": {"profiles": ["S"]}},
    }  # fmt: skip
    path = tmp_path / "lab.yaml"
    path.write_text(yaml.safe_dump(file))
    monkeypatch.setenv("GEODES_LAB_SETTINGS", str(path))
    monkeypatch.setattr(accounts, "_can_run", set())
    monkeypatch.setattr(accounts, "ensure", lambda name: pytest.fail("no account is made"))
    return monkeypatch


def test_start_is_refused_with_the_reason(lab):
    lab.setattr(accounts.executable, "fault", lambda *_, **__: SENTENCE)
    user = SimpleNamespace(name="alice", groups=[SimpleNamespace(name="geodes")])
    spawner = SimpleNamespace(name="", user=user, user_options={}, environment={}, log=logging.getLogger("x"))
    with pytest.raises(spawning.SpawnRefused, match=r"the folder /x is closed to them\. Tell the desk\."):
        asyncio.run(spawning.prepare(spawner))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another account")
def test_homes_below_a_closed_folder_are_refused_and_not_taken_for_full(tmp_path):
    nobody = pwd.getpwnam("nobody")
    (home := tmp_path / "state" / "homes" / "lab-alice").mkdir(parents=True)
    (tmp_path / "state").chmod(0o700)
    with pytest.raises(RuntimeError, match=r"cannot reach their homes in .* is closed to them: set home\.folder"):
        accounts._reachable(home, nobody)
    with tempfile.TemporaryDirectory() as folder:  # its group may pass
        os.chown(folder, 0, nobody.pw_gid)
        Path(folder).chmod(0o710)
        (home := Path(folder) / "lab-alice").mkdir()
        accounts._reachable(home, nobody)


def test_hub_says_it_at_its_start_until_it_is_mended(lab, caplog):
    said = [SENTENCE]
    lab.setattr(accounts.executable, "fault", lambda *_, **__: said[0])
    lab.setattr(get_logger(), "propagate", True)
    PyFileConfigLoader(str(TOP / "hub" / "config.d" / "40-server.py")).load_config()
    assert f"No server will start: {SENTENCE}" in caplog.text
    said[0] = ""
    assert accounts.unusable() == ""
    said[0] = SENTENCE
    assert accounts.unusable() == "", "what was seen to work is not tried at each start"
