"""The folders that a person shares with the members of their groups, as the hub has made them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from geodes_lab.errors import GeodesError

VARIABLE = "GEODES_LAB_GROUP_FOLDERS"
"""The variable by which the hub tells a server of them: a JSON object of the groups' names and folders."""
OWN = "GEODES_LAB_GROUP_RESULTS"
"""On Kubernetes, in the same form: the only folder of each group that this server writes, its person's results."""
ENVIRONMENTS = "environments"
"""The folder of a group's environments, in that of the group."""
RESULTS = "results"
"""The folder of its members' results, a folder for each member in it."""


def folders() -> dict[str, Path]:
    """Return the folders by the groups' names; none where the lab has no such folders."""
    return _named(VARIABLE)


def are_volumes() -> bool:
    """Whether they are mounted into a pod, which writes only the results of its person."""
    return bool(_named(OWN))


def own_results(group: str, user: str) -> Path:
    """Return where a person's results for a group are: a folder that other members read.

    Parameters
    ----------
    group
        One of `folders`.
    user
        The person's name.
    """
    return _named(OWN).get(group) or folder(group) / RESULTS / user


def folder(group: str) -> Path:
    """Return the folder of one group.

    Raises
    ------
    GeodesError
        If the lab has no such folders, or the person is not in that group.
    """
    there = folders()
    if group in there:
        return there[group]
    if not there:
        raise GeodesError(
            "This lab has no folders for groups, or you are in none of its groups: leave the group out, or ask the "
            "operator to set home.groups."
        )
    raise GeodesError(f"You are not in the group {group!r}: name one of yours, {', '.join(sorted(there))}.")


def _named(variable: str) -> dict[str, Path]:
    try:
        named = json.loads(os.environ.get(variable) or "{}")
        return {str(group): Path(folder) for group, folder in named.items()}
    except (ValueError, AttributeError, TypeError):
        return {}
