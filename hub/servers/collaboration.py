"""The common servers of groups: who enters them, and what they may do.

Each is the server of an account that belongs to nobody, with the rights of its group and of no other. Members enter it
by a role, so that it needs no shares, and none can be made for it: its token has no right to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from geodes_lab.policy import collaboration
from geodes_lab.policy.lab import Lab
from hub.login.tokens import SCOPE

VARIABLE = "GEODES_LAB_COLLABORATION"
"""By this the hub tells a server that it is a group's."""
_PERSONAL = ("shares!server", SCOPE)
"""What only a person's own server is allowed."""


def roles(lab: Lab) -> list[dict[str, Any]]:
    """Return a role for each group that has a server: to start, stop and enter it. And one that makes its account."""
    made = []
    for group, name in collaboration.servers(lab.groups, lab).items():
        mark = name.partition("@")[0]
        scopes = [f"{scope}!user={name}" for scope in ("servers", "access:servers")]
        made += [
            {"name": f"enters-{mark}", "scopes": scopes, "groups": [group]},
            {"name": f"is-{mark}", "scopes": ["self"], "users": [name]},
        ]
    return made


def token_scopes(usual: Collection[str]) -> Callable[[Any], list[str]]:
    """Return what gives the scopes of a server's token, from those that people's servers have."""
    return lambda spawner: [s for s in usual if not (collaboration.is_server(spawner.user.name) and s in _PERSONAL)]


def prepare(spawner: Any, lab: Lab) -> None:
    """Make a group's server known as such, and its account a member of the group alone.

    Raises
    ------
    RuntimeError
        If the operator no longer allows it.
    """
    name = spawner.user.name
    spawner.environment = {k: v for k, v in spawner.environment.items() if k != VARIABLE}
    if not collaboration.is_server(name):
        return
    group = collaboration.group(name, lab)
    spawner.user.sync_groups({group} if group else set())  # the gate, the accounts and the rest ask the hub for it
    if group is None:
        raise RuntimeError("This common server is of a group whose members may no longer work together in this lab.")
    spawner.default_url = "/lab"
    # The account has never logged in, so that there is no access token of a provider to ask for.
    kept = {k: v for k, v in spawner.environment.items() if k != "DASK_GEODES_LAB__CREDENTIALS__TOKEN__URL"}
    top = kept["JUPYTER_CONFIG_PATH"].rpartition(":")[2]
    spawner.environment = {**kept, VARIABLE: "yes", "JUPYTER_CONFIG_PATH": f"{top}/collaboration:{top}"}
