"""A folder for each group on one machine: real accounts and groups of unix, in an /etc of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from geodes_lab.policy.lab import Lab
from geodes_lab.policy.servers import Home, Servers
from tests.support.hub.hubs import _APART, needs_accounts
from tests.support.paths import TOP

# What runs as root where /etc is a copy. `as_` gives what a program of an account prints, or how it fails.
COMMON = """
import os, pwd, subprocess, sys, types
from pathlib import Path
from geodes_lab.policy.groups import Group
from geodes_lab.policy.servers import Home, Servers
from hub.servers import group_folders

top = Path(sys.argv[1])
lab = types.SimpleNamespace(  # what else a lab of accounts needs does not matter here
    groups={"land": Group(), "sea/ice": Group()}, home=Home(groups=str(top / "groups")), servers=Servers("accounts")
)
group_folders.installation = lambda: types.SimpleNamespace(lab=lab)
for name in ("lab-alice", "lab-bob", "lab-carl"):
    subprocess.run(["useradd", "--user-group", "--no-create-home", name], check=True)

def ensure(name, *groups):
    return group_folders.ensure(pwd.getpwnam(f"lab-{name}"), groups)

def as_(name, command):
    found = pwd.getpwnam(f"lab-{name}")
    groups = os.getgrouplist(found.pw_name, found.pw_gid)
    done = subprocess.run(["sh", "-c", f"umask 022; {command}"], user=found.pw_uid, group=found.pw_gid, extra_groups=groups,
                          capture_output=True, text=True, cwd="/")
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().rpartition(": ")[2]
"""


def run(folder: Path, code: str) -> str:
    """Run it with an /etc of its own; give what it prints."""
    folder.chmod(0o755)
    for parent in folder.parents:
        if parent.name.startswith(("pytest-", "popen-")):
            parent.chmod(0o755)  # other accounts pass
    (overlays := folder / "overlays").mkdir()
    (place := folder / "place").mkdir()
    script = COMMON + textwrap.dedent(code)
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _APART, str(overlays)]
    done = subprocess.run(
        [*command, sys.executable, "-c", script, str(place)],
        env={**os.environ, "CLOSED": "", "KEPT": "", "PYTHONPATH": str(TOP)}, capture_output=True, text=True, timeout=120, cwd=TOP,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@needs_accounts
@pytest.mark.attack
def test_members_write_and_read_and_nobody_else_and_none_replaces_another_s(tmp_path):
    printed = run(
        tmp_path,
        """
        folders = ensure("alice", "land", "unknown", "sea/ice")
        assert set(folders) == {"land", "sea/ice"} and len({*folders.values()}) == 2
        assert all(Path(f).parent == top / "groups" and os.stat(f).st_mode & 0o7777 == 0o3770 for f in folders.values())
        land = folders["land"]
        assert ensure("bob", "land") == {"land": land} and ensure("carl") == {}
        print(as_("alice", f"echo hers > {land}/results/a.txt && stat -c %G:%a {land}/results/a.txt"))
        print(as_("bob", f"cat {land}/results/a.txt"))
        print(as_("bob", f"echo his > {land}/results/a.txt"))
        print(as_("bob", f"rm {land}/results/a.txt"))
        print(as_("bob", f"mv {land}/environments {land}/mine"))
        print(as_("carl", f"cat {land}/results/a.txt"))
        print(as_("carl", f"ls {top}/groups"))
        ensure("bob")  # he has left the group
        print(as_("bob", f"cat {land}/results/a.txt"))
        print(as_("alice", f"cat {land}/results/a.txt"))
        """,
    )
    refused = "Permission denied"
    assert printed.splitlines() == [
        "lab-g-land:644", "hers", refused, "Operation not permitted", "Operation not permitted", refused, refused, refused, "hers",
    ]  # fmt: skip


@needs_accounts
@pytest.mark.attack
def test_what_is_not_the_lab_s_own_is_refused_in_a_sentence(tmp_path):
    printed = run(
        tmp_path,
        """
        def refused(*groups):
            try:
                return ensure("alice", *groups)
            except RuntimeError as error:
                return error
        subprocess.run(["useradd", "--user-group", "--no-create-home", "lab-g-land"], check=True)  # a person called g-land
        print(refused("land"))
        subprocess.run(["userdel", "lab-g-land"], check=True)
        (top / "groups" / "land").symlink_to("/etc")
        print(refused("land"))
        (top / "groups" / "land").unlink()
        ensure("alice", "land")
        os.chown(top / "groups" / "land", pwd.getpwnam("lab-bob").pw_uid, -1)
        print(refused("land"))
        (top / "groups").chmod(0o777)
        print(refused("land"))
        """,
    ).splitlines()
    assert "The unix group lab-g-land is an account's own: give servers.account_prefix another prefix." in printed[0]
    assert "land is not the lab's own: move it away" in printed[1]
    assert "land is not the lab's own: move it away" in printed[2]
    assert "The folder of the groups is not safe: other accounts can write into" in printed[3]
    assert (Path("/etc").stat().st_mode & 0o7777) == 0o755


def test_lab_without_root_says_that_it_has_no_such_folders():
    with pytest.raises(ValueError, match=r"home.groups needs several people, and servers.kind is process"):
        Lab(home=Home(groups="/srv/groups"), servers=Servers("process"))
    with pytest.raises(ValueError, match=r"home.groups is the whole path of a folder"):
        Lab(home=Home(groups="groups"))
