"""What pods mount of the volume of the groups: whatever the names of people and groups are, each group has one safe folder of its own."""

from __future__ import annotations

import posixpath
import re
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodes_lab.policy.groups import Group
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.reading import read
from hub.servers import group_mounts
from tests.support.examples import examples

ALIKE = st.sampled_from(
    ["land", "Land", "land ", "a/b", "a-b", "a_b", "..", ".", "", "/", "../sea", "results", "$(id)", "{username}", "a" * 40, "é", "é"]
)  # fmt: skip
NAMES = st.one_of(ALIKE, st.text(max_size=60))


def lab(*groups: str, folder: str = "/srv/groups") -> Lab:
    told = {
        "login": {"kind": "oidc", "oidc": {"issuer": "https://sso.geodes.example", "client_id": "lab"}},
        "address": "https://lab.geodes.example",
        "servers": {"kind": "kubernetes"},
        "groups": {"users": {}},
        "home": {"groups": folder},
    }
    made = read(Lab, told, "")
    made.groups.update(dict.fromkeys(groups, Group()))
    return made


@settings(max_examples=examples(300), deadline=None)
@given(st.sets(NAMES, max_size=5), st.lists(NAMES, max_size=3), NAMES)
def test_each_group_has_a_folder_of_its_own_and_members_write_one_in_it(groups, others, person):
    mine = lab(*groups)
    mounts = group_mounts.mounts(person, {*groups, *(set(others) - groups)}, mine)
    assert len(mounts) == 2 * len(groups), "of groups that the operator's file does not name there is none"
    paths = [m["mountPath"] for m in mounts]
    assert len({*paths}) == len(paths), "no two groups share one"
    for whole, own in zip(mounts[::2], mounts[1::2], strict=True):
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", whole["subPath"])
        assert re.fullmatch(rf"{whole['subPath']}/results/[a-z0-9][a-z0-9_-]*", own["subPath"])
        assert (whole["readOnly"], own["readOnly"]) == (True, False)
        for mount in (whole, own):
            assert posixpath.normpath(mount["mountPath"]) == mount["mountPath"] == f"/srv/groups/{mount['subPath']}"
    told = group_mounts.folders(groups, mine), group_mounts.own(person, groups, mine)
    assert {*told[0].values(), *told[1].values()} == {*paths}
    assert all(own.startswith(f"{told[0][group]}/results/") for group, own in told[1].items())


@settings(max_examples=examples(100), deadline=None)
@given(NAMES, NAMES)
def test_two_people_never_write_the_same_folder(one, other):
    folders = [group_mounts.own(person, ["users"], lab())["users"] for person in (one, other)]
    assert (folders[0] == folders[1]) is (one == other)


def test_who_has_left_a_group_has_nothing_of_it_at_the_next_start():
    spawner = SimpleNamespace(
        volumes={"groups": {"name": "groups"}, "x": {"name": "x"}}, volume_mounts={"x": {"name": "x"}}
    )
    group_mounts.into(spawner, "alice", ["users", "land"], lab("land"))
    assert len(spawner.volume_mounts) == 5
    group_mounts.into(spawner, "alice", ["users"], lab("land"))
    assert set(spawner.volume_mounts) == {"x", "/srv/groups/users", "/srv/groups/users/results/alice"}
    group_mounts.into(spawner, "alice", ["users"], lab(folder=""))
    assert (set(spawner.volumes), set(spawner.volume_mounts)) == ({"x"}, {"x"}), "the lab has no such folders"


def test_volume_that_is_missing_is_said():
    spawner = SimpleNamespace(volumes=[{"name": "x"}], volume_mounts=[])
    with pytest.raises(RuntimeError, match="no volume called groups: repeat its line"):
        group_mounts.into(spawner, "alice", ["users"], lab())
    assert spawner.volume_mounts == []
