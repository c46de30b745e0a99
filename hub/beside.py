"""Services beside the hub: each with an address of its own, the scopes that it needs and no more."""

from __future__ import annotations

import os
from typing import Any

from installation import HUB, installation, python

_USER = "user"


def add(
    c: Any,
    name: str,
    *,
    arguments: list[str] | None = None,
    environment: dict[str, str] | None = None,
    scopes: list[str] | None = None,
    display: bool = False,
    for_servers: bool = False,
) -> None:
    """Set what the hub has to know of a service that ``python -m NAME`` starts.

    Parameters
    ----------
    c
        The configuration.
    name
        Of the service and of its package in ``hub/services``.
    arguments, environment
        For its command. Secrets belong into the environment, since `ps` shows arguments.
    scopes
        What it may ask the hub.
    display
        Whether it is in the hub's menu.
    for_servers
        Whether users' servers may ask it too, by their own token.
    """
    here = installation()
    access = f"access:services!service={name}"
    service: dict[str, Any] = {
        "name": name,
        "display": display,
        "oauth_no_confirm": True,
        "oauth_client_allowed_scopes": ["read:users:name!user", access],
    }
    if here.on_kubernetes:  # a pod of its own, which the chart starts; the token is a secret of both
        service |= {"url": f"http://{name}:8080", "api_token": here.secret(f"{name}_token")}
    else:
        service |= {
            "url": f"http://127.0.0.1:{here.port(name)}",
            "command": [python(), "-m", name, *(arguments or [])],
            "environment": {
                "PYTHONPATH": str(HUB / "services"),
                "GEODES_LAB_SETTINGS": str(here.file),
                "GEODES_LAB_STATE": str(here.state),
                "GEODES_LAB_ADDRESS": here.address,
                **{k: v for k, v in os.environ.items() if k.startswith("DASK_GEODES_LAB__") or k == "GEODES_LAB_RUN"},
                **(environment or {}),
            },
        }
    services(c).append(service)
    allow(c, _USER, access)
    if for_servers:
        c.Spawner.server_token_scopes.append(access)
    roles(c).append({"name": name, "scopes": scopes or [], "services": [name]})


def allow(c: Any, role: str, *scopes: str) -> None:
    """Give a role of `roles` more scopes."""
    (found,) = (r for r in roles(c) if r["name"] == role)
    found["scopes"].extend(scopes)


def services(c: Any) -> list[dict[str, Any]]:
    """The services that are configured so far."""
    return _list(c.JupyterHub, "services")


def roles(c: Any) -> list[dict[str, Any]]:
    """The roles that are configured so far; that of each user first."""
    found = _list(c.JupyterHub, "load_roles")
    if not any(r["name"] == _USER for r in found):
        found.insert(0, {"name": _USER, "scopes": ["self"]})
    if "server_token_scopes" not in c.Spawner:
        # A user's server reports its activity and says who it is, and no more.
        c.Spawner.server_token_scopes = ["users:activity!server", "access:servers!server", "read:users:name!user"]
    return found


def address(name: str) -> str:
    """Where servers and other services reach a service, past the proxy."""
    here = installation()
    host = f"http://{name}:8080" if here.on_kubernetes else f"http://127.0.0.1:{here.port(name)}"
    return f"{host}/services/{name}"


def _list(section: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(section.get(name), list):
        section[name] = []
    found: list[dict[str, Any]] = section[name]
    return found
