"""The common servers of groups in the operator's file: off unless it says so, refused where they would not be safe."""

from __future__ import annotations

import pytest

from geodes_lab.policy import collaboration
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.people import NAME, standing
from geodes_lab.policy.reading import Refused, read

FILE = {
    "address": "https://lab.example.org",
    "login": {"kind": "oidc", "oidc": {"issuer": "https://sso.example.org", "client_id": "lab"}},
    "servers": {"kind": "accounts"},
    "profiles": {"S": {"title": "Small"}},
    "groups": {"geodes": {"profiles": ["S"]}, "a/b": {"profiles": ["S"], "collaboration": True}, "a-b": {"profiles": ["S"]}},
}  # fmt: skip


def lab(group=None, **more) -> Lab:
    groups = {**FILE["groups"], "a/b": {**FILE["groups"]["a/b"], **(group or {})}}
    return read(Lab, {**FILE, "groups": groups, **more}, "")


def test_server_of_a_group_has_the_rights_of_that_group_alone_and_no_person_has_its_name():
    told = lab()
    name = collaboration.server("a/b")
    assert collaboration.servers({"geodes", "a/b", "a-b", "unknown"}, told) == {"a/b": name}
    assert collaboration.server("a-b") != name
    assert not NAME.fullmatch(name)
    assert set(standing(name, {"geodes", "a-b"}, told)) == {"a/b"}
    assert set(standing("alice", {"geodes"}, told)) == {"geodes"}
    off = lab({"collaboration": False})
    assert collaboration.servers({"a/b"}, off) == {}
    assert set(standing(name, {"a/b"}, off)) == set(), "a server that is left from before has no rights"
    assert collaboration.group(collaboration.server("geodes"), told) is None


@pytest.mark.parametrize(
    ("group", "more", "sentence"),
    [
        ({}, {"subdomains": False}, "subdomains is false"),
        ({"admin": True}, {}, "admin: true"),
        ({"profiles": []}, {}, "no profiles"),
        (
            {},
            {"login": {"kind": "link"}, "servers": {"kind": "process"}},
            "needs several people",
        ),
    ],
)
def test_what_cannot_be_is_refused(group, more, sentence):
    with pytest.raises(Refused, match=sentence):
        lab(group, **more)
