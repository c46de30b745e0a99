"""A folder for each group on one machine with root, whose members write and read it.

Each group of the operator's file is a group of unix too. Its folder has the bits setgid, so that what is made in it is
the group's, and sticky, so that nobody replaces or removes what another member has made.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import subprocess
from collections.abc import Collection
from pathlib import Path

from geodes_lab.policy.account import account
from geodes_lab.util import ownership
from geodes_lab.util.group_folders import ENVIRONMENTS, RESULTS
from hub.installation import installation

_ROOT = 0
_MODE = 0o3770
OWN = "g-"
"""What follows the prefix of accounts in the names of groups."""


def ensure(found: pwd.struct_passwd, groups: Collection[str]) -> dict[str, str]:
    """Make the folders of a person's groups, and the account a member of them, and of no other of the lab's.

    Parameters
    ----------
    found
        The person's account.
    groups
        Of the person; those that the operator's file does not name have no folder.

    Returns
    -------
    dict
        The folders, by the groups' names.

    Raises
    ------
    RuntimeError
        If a group of unix or a folder of such a name is not the lab's own.
    """
    lab = installation().lab
    prefix = f"{lab.servers.account_prefix}{OWN}"
    above = Path(lab.home.groups)
    mine = {name: account(name, prefix) for name in sorted(groups) if name in lab.groups}
    _above(above)
    folders = {name: str(_folder(above / account(name, ""), _group(unix))) for name, unix in mine.items()}
    _join(found.pw_name, set(mine.values()), prefix)
    return folders


def _group(unix: str) -> int:
    """Give the number of a group, created if needed."""
    try:
        number = grp.getgrnam(unix).gr_gid
    except KeyError:
        outcome = subprocess.run(["groupadd", "--", unix], capture_output=True, text=True)
        if outcome.returncode != 0:
            raise RuntimeError(f"The group {unix} cannot be created ({' '.join(outcome.stderr.split())}).") from None
        number = grp.getgrnam(unix).gr_gid
    # Of a person called "g-land" the account's own group would be called like that of the group "land".
    if number < 1000 or any(one.pw_gid == number for one in pwd.getpwall()):
        raise RuntimeError(f"The unix group {unix} is an account's own: give servers.account_prefix another prefix.")
    return number


def _above(above: Path) -> None:
    above.mkdir(parents=True, exist_ok=True)
    if obstacle := ownership.fault(above, _ROOT):
        raise RuntimeError(
            f"The folder of the groups is not safe: {obstacle}. Root must own it and all folders above it."
        )
    above.chmod(0o711)


def _folder(folder: Path, gid: int) -> Path:
    """Make the folder of a group; as long as nobody else can enter it, what is in it."""
    if not os.path.lexists(folder):
        folder.mkdir(mode=0o700)
        for one in (folder / ENVIRONMENTS, folder / RESULTS, folder):
            one.mkdir(mode=0o700, exist_ok=True)
            os.chown(one, _ROOT, gid)
            one.chmod(_MODE)
        return folder
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != _ROOT or status.st_gid != gid:
        raise RuntimeError(
            f"The folder {folder} is not the lab's own: move it away, or give it back with "
            f"`chown root:{grp.getgrgid(gid).gr_name} {folder}`."
        )
    return folder


def _join(unix: str, groups: Collection[str], prefix: str) -> None:
    """Make an account a member of some groups, and of no other that starts with the prefix."""
    members = {one.gr_name: set(one.gr_mem) for one in grp.getgrall() if one.gr_name.startswith(prefix)}
    for name in sorted(set(members) | set(groups)):
        is_member = unix in members.get(name, ())
        if is_member == (name in groups):
            continue
        changed = subprocess.run(
            ["gpasswd", "--delete" if is_member else "--add", unix, name], capture_output=True, text=True
        )
        if changed.returncode != 0:
            raise RuntimeError(
                f"The members of the group {name} cannot be changed ({' '.join(changed.stderr.split())})."
            )
