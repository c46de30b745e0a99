"""The common server of a group, where its members edit notebooks at the same time, if the operator allows it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geodes_lab.policy.lab import Lab

_END = "@group"
"""No person of the provider is called so, because no name of a person has an @."""


def server(group: str) -> str:
    """Return the name under which the hub knows a group's server: nobody logs in with it."""
    words = re.sub(r"[^a-z0-9]+", "-", group.lower()).strip("-")[:40]
    mark = hashlib.sha256(group.encode()).hexdigest()[:8]  # a/b and a-b are two groups
    return f"{words}-{mark}{_END}"


def servers(groups: Collection[str], lab: Lab) -> dict[str, str]:
    """Return the names of the servers of those of some groups whose members may work together, by group."""
    return {name: server(name) for name, rule in lab.groups.items() if rule.collaboration and name in groups}


def group(name: str, lab: Lab) -> str | None:
    """Return the group that a server of this name belongs to; None: it is a person's, or no longer allowed."""
    return next((of for of, its in servers(lab.groups, lab).items() if its == name), None)


def is_server(name: str) -> bool:
    """Whether a name is that of a group's server, allowed or not."""
    return name.endswith(_END)
