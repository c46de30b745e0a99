"""What is shared with a group reaches its members.

JupyterHub lets a server be shared with a group, shows it to the members, and forgets it where a token is made for one
of them (up to 6.1.1, ``scopes.get_scopes_for`` counts ``owner.shared_with_me`` and not ``all_shared_with_me``), so that
nobody gets in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from jupyterhub import orm, roles, scopes

_asked = roles.roles_to_expanded_scopes


def reach_tokens() -> None:
    """Count what a person's groups were given among what the person has, wherever the hub asks for that."""
    roles.roles_to_expanded_scopes = _with_groups


def role(group: str) -> dict[str, Any]:
    """The role by which members share with a group: they may know its name, which JupyterHub asks for."""
    name = re.sub(r"[^a-z0-9]+", "-", group.lower()).strip("-")[:100]
    mark = hashlib.sha256(group.encode()).hexdigest()[:8]  # a/b and a-b are two groups
    return {"name": f"shares-with-{name}-{mark}", "scopes": [f"read:groups:name!group={group}"], "groups": [group]}


def _with_groups(of: Iterable[Any], owner: Any) -> set[str]:
    found: set[str] = set(_asked(of, owner))
    if isinstance(owner, orm.User):
        for group in owner.groups:
            for share in group.shared_with_me:
                found |= scopes.expand_share_scopes(share)
    return found
