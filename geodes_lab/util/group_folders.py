"""The folders that a person shares with the members of their groups, as the hub has made them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from geodes_lab.errors import GeodesError

VARIABLE = "GEODES_LAB_GROUP_FOLDERS"
"""The variable by which the hub tells a server of them: a JSON object of the groups' names and folders."""
ENVIRONMENTS = "environments"
"""The folder of a group's environments, in that of the group."""
RESULTS = "results"
"""The folder of its members' results, a folder for each member in it."""


def folders() -> dict[str, Path]:
    """Return the folders by the groups' names; none where the lab has no such folders."""
    try:
        named = json.loads(os.environ.get(VARIABLE) or "{}")
        return {str(group): Path(folder) for group, folder in named.items()}
    except (ValueError, AttributeError, TypeError):
        return {}


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
