"""The operator's word on assistants: how it is read, and that people's servers are told."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import yaml

from geodes_lab.policy.lab import Lab
from geodes_lab.policy.reading import Refused, read
from hub.servers import spawning
from tests.support.paths import TOP


def test_nobody_is_told_of_it_by_default():
    assert read(Lab, {}, "").assistant == "hidden"
    assert yaml.safe_load((TOP / "hub" / "production.yaml").read_text())["assistant"] == "hidden"
    for word in (True, False, "on"):  # YAML's on and off are true and false
        with pytest.raises(Refused, match=r"assistant is .*: it must be one of hidden, offered, forbidden"):
            read(Lab, {"assistant": word}, "")


@pytest.mark.parametrize("word", ["hidden", "offered", "forbidden"])
def test_server_is_told(monkeypatch, tmp_path, word):
    path = tmp_path / "lab.yaml"
    path.write_text(yaml.safe_dump({"state": str(tmp_path), "assistant": word}))
    monkeypatch.setenv("GEODES_LAB_SETTINGS", str(path))
    user = SimpleNamespace(name="alice", groups=[])
    spawner = SimpleNamespace(user=user, environment={"A": "b"}, log=logging.getLogger("x"))
    spawning._tell(spawner, None)
    assert spawner.environment["GEODES_LAB_ASSISTANT"] == word
    assert spawner.environment["A"] == "b"
