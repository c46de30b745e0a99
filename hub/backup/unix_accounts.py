"""The unix accounts and groups of a lab on one machine: named in a backup, and made anew where they are missing."""

from __future__ import annotations

import grp
import pwd
import subprocess
from typing import Any

from hub.backup.parts import BackupError
from hub.installation import Installation
from hub.servers import accounts
from hub.servers.group_folders import OWN


def have(here: Installation) -> bool:
    """Whether people have accounts of this machine."""
    return here.lab.servers.kind in ("accounts", "systemd")


def of_people(here: Installation) -> list[dict[str, Any]]:
    """Return the accounts of people."""
    found = [one for one in pwd.getpwall() if one.pw_gecos == accounts.MARK] if have(here) else []
    return [{"name": one.pw_name, "number": one.pw_uid, "home": one.pw_dir} for one in found]


def of_groups(here: Installation) -> list[dict[str, Any]]:
    """Return the unix groups of the lab's groups; who is in them is settled at each start of a server."""
    prefix = f"{here.lab.servers.account_prefix}{OWN}"
    found = [one for one in grp.getgrall() if one.gr_name.startswith(prefix)] if have(here) else []
    return [{"name": one.gr_name, "number": one.gr_gid, "members": list(one.gr_mem)} for one in found]


def make(here: Installation, people: list[dict[str, Any]], groups: list[dict[str, Any]]) -> list[str]:
    """Make those that are missing, with their old numbers if these are free; return their names.

    Files are restored by names, so that accounts with other numbers have their homes too.

    Raises
    ------
    BackupError
        If an account of such a name is not the lab's own, or one cannot be made.
    """
    if not have(here):
        return []
    made = []
    known = {one.pw_name: one for one in pwd.getpwall()}
    for one in people:
        name = str(one["name"])
        if name in known and known[name].pw_gecos != accounts.MARK:
            raise BackupError(
                f"The account {name} does not belong to the lab: nothing was changed. Rename it, or choose another "
                "servers.account_prefix on a new machine."
            )
    numbers = {e.pw_uid for e in known.values()} | {g.gr_gid for g in grp.getgrall()}
    for one in people:
        if one["name"] not in known:
            number = int(one["number"])
            try:
                accounts.add(one["name"], here.homes / str(one["name"]), 0 if number in numbers else number)
            except RuntimeError as error:
                raise BackupError(str(error)) from None
            made.append(str(one["name"]))
    there = {g.gr_name for g in grp.getgrall()}
    for one in groups:
        if one["name"] not in there:
            numbers = {g.gr_gid for g in grp.getgrall()}
            wish = [] if one["number"] in numbers else ["--gid", str(one["number"])]
            done = subprocess.run(["groupadd", *wish, "--", str(one["name"])], capture_output=True, text=True)
            if done.returncode != 0:
                raise BackupError(f"The group {one['name']} cannot be made ({' '.join(done.stderr.split())}).")
            made.append(str(one["name"]))
    return made
