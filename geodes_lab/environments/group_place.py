"""Environments that a group shares: each belongs to the member who made it, and all members can start it.

A member who starts another's environment runs that member's code, and agrees to nothing else: what the environment says
of itself is not read, and one that somebody beside its owner could change is left out.
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from geodes_lab.environments.overlay import Overlay, environments
from geodes_lab.errors import GeodesError
from geodes_lab.util import group_folders, ownership


@dataclass(frozen=True)
class Shared:
    """An environment in a group's folder."""

    group: str
    overlay: Overlay
    owner: str
    """The account that made it."""

    @property
    def kernel(self) -> str:
        """Its kernel's name, which no environment of a person's own has."""
        return f"geodes.{self.overlay.folder.parents[2].name}.{self.overlay.name}"

    @property
    def title(self) -> str:
        """What the launcher calls its kernel."""
        return f"{self.overlay.name} ({self.group}, of {self.owner})"


def place(group: str) -> Path:
    """Return the folder of a group's environments.

    Raises
    ------
    GeodesError
        If there is none for this person, or the lab's servers are pods: they all have one account, so that nothing says
        whose an environment is.
    """
    if group_folders.are_volumes():
        raise GeodesError(
            "The folders of groups in this lab have results alone, since all its servers run as one account: leave "
            "the group out, and share the list of packages (`geodes-lab env create NAME --from requirements.txt`)."
        )
    return group_folders.folder(group) / group_folders.ENVIRONMENTS


def named(name: str, group: str) -> Overlay:
    """Return an environment of a group which this person may make or change.

    Raises
    ------
    GeodesError
        If it is no name, there is no place, or another member has made one of that name.
    """
    overlay = Overlay.named(name, place(group))
    top = overlay.folder.parent
    if top.is_symlink() or (top.exists() and top.stat().st_uid != os.geteuid()):
        raise GeodesError(
            f"The environment {name} of the group {group} belongs to {account(top.lstat().st_uid)}: choose another "
            "name."
        )
    return overlay


def shared() -> list[Shared]:
    """Return the environments of the person's groups which can be started."""
    listed: list[Shared] = []
    if group_folders.are_volumes():
        return listed
    for group, folder in sorted(group_folders.folders().items()):
        try:
            members = set(grp.getgrgid(folder.stat().st_gid).gr_mem)
            there = environments(folder / group_folders.ENVIRONMENTS)
        except (OSError, KeyError):
            continue
        for overlay in there:
            uid = overlay.folder.parent.lstat().st_uid
            owner = account(uid)
            # An owner who has left the group is no longer trusted by it.
            is_member = owner in members or uid in (0, os.geteuid())
            if is_member and not overlay.folder.parent.is_symlink() and not _fault(overlay, uid):
                listed.append(Shared(group, overlay, owner))
    return listed


def _fault(overlay: Overlay, uid: int) -> str:
    """Why somebody beside its owner could change it; empty if nobody can."""
    return ownership.fault(overlay.folder, uid) or ownership.fault(overlay.packages, uid)


def account(uid: int) -> str:
    """Return the name of an account, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
