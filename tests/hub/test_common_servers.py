"""The hub's side of the common servers of groups: who enters, what their token may, what their server is told."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from traitlets.config import Config

from geodes_lab.policy import collaboration as rules
from hub.servers import collaboration
from hub.singleuser import extensions
from tests.policy.test_collaboration import lab
from tests.support.paths import TOP

COMMON = rules.server("a/b")
USUAL = ["users:activity!server", "access:servers!server", "shares!server", "custom:geodes-lab:token"]


class Spawner(SimpleNamespace):
    def __init__(self, name: str) -> None:
        self.member = None
        environment = {"JUPYTER_CONFIG_PATH": "/top/hub/singleuser", "DASK_GEODES_LAB__CREDENTIALS__TOKEN__URL": "hub"}
        super().__init__(
            environment=environment, default_url="/geodes/start",
            user=SimpleNamespace(name=name, sync_groups=lambda groups: setattr(self, "member", groups)),
        )  # fmt: skip


def test_members_enter_by_a_role_and_the_server_can_let_in_nobody():
    enters, account = collaboration.roles(lab())
    assert enters["groups"] == ["a/b"]
    assert enters["scopes"] == [f"servers!user={COMMON}", f"access:servers!user={COMMON}"]
    assert account["users"] == [COMMON]
    assert collaboration.roles(lab({"collaboration": False})) == []
    scopes = collaboration.token_scopes(USUAL)
    assert scopes(Spawner("alice")) == USUAL
    assert scopes(Spawner(COMMON)) == USUAL[:2]


def test_server_is_told_what_it_is_and_others_are_as_they_were():
    common, alice = Spawner(COMMON), Spawner("alice")
    for _ in range(2):  # a later start, with what the first one left
        collaboration.prepare(common, lab())
    collaboration.prepare(alice, lab())
    assert common.member == {"a/b"}
    assert common.environment["JUPYTER_CONFIG_PATH"] == "/top/hub/singleuser/collaboration:/top/hub/singleuser"
    assert collaboration.VARIABLE in common.environment
    assert not [n for n in common.environment if "TOKEN" in n]
    assert (alice.member, alice.environment, alice.default_url) == (None, Spawner("alice").environment, "/geodes/start")
    with pytest.raises(RuntimeError, match="no longer"):
        collaboration.prepare(common, lab({"collaboration": False}))
    assert common.member == set()


def test_extensions_are_off_unless_the_hub_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    monkeypatch.delenv(collaboration.VARIABLE, raising=False)
    told = Config()
    assert not any(extensions.chosen(told).values())
    assert told == Config()
    monkeypatch.setenv(collaboration.VARIABLE, "yes")
    assert all(extensions.chosen(told).values())
    assert str(told.SQLiteYStore.db_path).startswith(str(tmp_path))
    off, on = (
        json.loads((TOP / "hub" / "singleuser" / folder / "labconfig" / "page_config.json").read_text())[
            "disabledExtensions"
        ]
        for folder in (".", "collaboration")
    )
    assert set(off) == set(on) == {"@jupyter/collaboration-extension", "@jupyter/docprovider-extension"}
    assert all(off.values())
    assert not any(on.values())
    page = {"disabledExtensions": list(off), "federated_extensions": [{"name": n} for n in (*off, "other")]}
    settings = {"page_config_hook": lambda handler, page: {**page, "seen": True}}
    extensions._without_disabled(settings)
    shown = settings["page_config_hook"](None, page)
    assert ([e["name"] for e in shown["federated_extensions"]], shown["seen"]) == (["other"], True)
