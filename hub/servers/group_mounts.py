"""A folder for each group on Kubernetes: folders of one volume, which the pods of the group's members mount.

All pods write as one account, so that rights of files separate nobody: what a pod mounts does. It sees the folders of
its person's groups alone, reads them, and writes one folder in each, that of the person's results. So nobody replaces
or removes what another member has made, as on one machine. The kubelet makes the folders when they are first mounted.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from geodes_lab.policy.account import account
from geodes_lab.policy.lab import Lab
from geodes_lab.util.group_folders import RESULTS

VOLUME = "groups"
"""How the volume is called in pods; in those of Dask workers too (``hub/services/gateway/capped.py``)."""
Mount = dict[str, Any]


def folders(groups: Collection[str], lab: Lab) -> dict[str, str]:
    """Return the folders of those of a person's groups that the operator's file names, by the groups' names.

    Each name of a folder is safe in a path, and no two groups have the same (`account`).
    """
    above = lab.home.groups.rstrip("/")
    return {name: f"{above}/{account(name, '')}" for name in sorted(groups) if above and name in lab.groups}


def own(person: str, groups: Collection[str], lab: Lab) -> dict[str, str]:
    """Return where the results of a person are, by the groups' names."""
    return {name: f"{folder}/{RESULTS}/{account(person, '')}" for name, folder in folders(groups, lab).items()}


def mounts(person: str, groups: Collection[str], lab: Lab) -> list[Mount]:
    """Return what the pods of a person mount of the volume, in the words of Kubernetes."""
    there, above = folders(groups, lab), len(lab.home.groups.rstrip("/")) + 1
    writable = own(person, groups, lab)
    return [
        {"name": VOLUME, "mountPath": path, "subPath": path[above:], "readOnly": path == there[name]}
        for name in there
        for path in (there[name], writable[name])  # the folder before what is in it
    ]


def into(spawner: Any, person: str, groups: Collection[str], lab: Lab) -> None:
    """Give a spawner the mounts of a person, in place of those of an earlier start.

    Where the lab has no such folders, its pods do not have the volume. Volumes and mounts are dicts or lists:
    KubeSpawner takes both.

    Raises
    ------
    RuntimeError
        If the chart's values have no such volume.
    """
    needed = mounts(person, groups, lab)
    volumes, rest = _others(spawner.volumes), _others(spawner.volume_mounts)
    if not lab.home.groups:
        spawner.volumes = volumes
    elif needed and len(volumes) == len(spawner.volumes):
        raise RuntimeError(
            f"home.groups is {lab.home.groups}, and people's pods have no volume called {VOLUME}: repeat its line in "
            "jupyterhub.singleuser.storage.extraVolumes."
        )
    by_path = {mount["mountPath"]: mount for mount in needed}
    spawner.volume_mounts = {**rest, **by_path} if isinstance(rest, dict) else [*rest, *needed]


def _others(parts: Any) -> Any:
    """Those volumes, or mounts, that are not of the groups."""
    if isinstance(parts, dict):
        return {key: part for key, part in parts.items() if part.get("name") != VOLUME}
    return [part for part in parts if part.get("name") != VOLUME]
