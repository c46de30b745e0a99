"""The registration of services beside the hub: each with its own address, and only the scopes that it needs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hub.installation import TOP, Installation, installation, python
from hub.services import declared
from hub.services.declared import Needs, Service

OPERATOR = "operator"
"""The role of operators, where people log in with a provider."""
_USER = "user"


def register(c: Any, service: Service) -> None:
    """Register a service that ``python -m hub.services.NAME`` starts, with the hub and people's servers.

    Parameters
    ----------
    c
        The configuration.
    service
        Its declaration in ``services.yaml``. If this installation does not have it, nothing is set.
    """
    here = installation()
    extra = service.extra(here)
    if extra is None:
        return
    name, access = service.name, f"access:services!service={service.name}"
    acts_at = [other for other in service.acts_at if _is_there(other, here)]
    settings: dict[str, Any] = {"name": name, "display": service.display}
    if service.listens:
        further = [f"access:services!service={other}" for other in acts_at]
        allowed = ["read:users:name!user", access, *further]
        settings |= {"oauth_no_confirm": True, "oauth_client_allowed_scopes": allowed}
    if here.on_kubernetes:  # a pod of its own, which the chart starts; both have the token as a secret
        settings |= {"url": f"http://{name}:8080", "api_token": here.secret(f"{name}_token")}
    else:
        if service.listens:
            settings |= {"url": f"http://127.0.0.1:{here.port(name)}"}
        command = [python(), "-m", f"hub.services.{name}", *extra.arguments]
        settings |= {
            "command": confined(name, command, extra.needs, listens=service.listens, when_asked=service.when_asked),
            "environment": {
                "PYTHONPATH": str(TOP),
                "GEODES_LAB_ADDRESS": here.address,
                **{k: v for k, v in os.environ.items() if k.startswith("DASK_GEODES_LAB__") or k == "GEODES_LAB_RUN"},
                **{f"GEODES_LAB_{other.upper()}": address(other) for other in (*service.asks, *acts_at)},
                **extra.environment,
            },
        }
    services(c).append(settings)
    if service.listens:
        # In a lab for one person, that person is the operator.
        operators = service.for_operators and any(r["name"] == OPERATOR for r in roles(c))
        allow(c, OPERATOR if operators else _USER, access)
    if service.for_servers:
        c.Spawner.server_token_scopes.append(access)
    scopes = [*service.scopes, *(f"access:services!service={other}" for other in service.asks)]
    roles(c).append({"name": name, "scopes": scopes, "services": [name]})
    c.Spawner.environment.update(extra.servers)


def _is_there(name: str, here: Installation) -> bool:
    return declared.services()[name].extra(here) is not None


def confined(
    name: str, command: list[str], needs: Needs, *, listens: bool = True, when_asked: bool = False
) -> list[str]:
    """Return the command that runs another as a separate user without rights (hub/services/confined.py).

    With ``when_asked``, a lab of one person starts it when its port is first asked.
    """
    here = installation()
    options: dict[str, Sequence[object]] = {
        "name": [name],
        "state": [here.state],
        "keeps": [keeps(here, name)],
        "settings": [here.file],
        "secrets": [here.lab.secrets or here.state / "secrets"],
        "secret": needs.secrets,
        "reads": [*needs.reads, *_authority()],
        "hides": [] if here.homes in map(Path, needs.reads) else [here.homes],
        "former": needs.former,
        "capability": [needs.capability] if needs.capability else [],
        "port": [here.port(name)] if listens else [],
    }
    arguments = [f"--{option}={value}" for option, values in options.items() for value in values]
    # For the only user of a lab on loopback, it may start even if the system cannot confine it.
    lenient = ["--lenient"] if here.lab.servers.kind == "process" else []
    asked = ["--when-asked"] if when_asked and here.lab.login.kind == "link" else []
    return [python(), "-m", "hub.services.confined", *arguments, *lenient, *asked, "--", *command]


def keeps(here: Installation, name: str) -> Path:
    """Return the folder that a service owns."""
    return here.state / "services" / name


def _authority() -> list[str]:
    """Return the file of the datalake's own authority, if a setting names one."""
    path = os.environ.get("DASK_GEODES_LAB__DATALAKE__CA")
    return [path] if path else []


def allow(c: Any, role: str, *scopes: str) -> None:
    """Add scopes to a role of `roles`."""
    (existing,) = (r for r in roles(c) if r["name"] == role)
    existing["scopes"].extend(scopes)


def services(c: Any) -> list[dict[str, Any]]:
    """Return the services that are configured so far."""
    return _list(c.JupyterHub, "services")


def roles(c: Any) -> list[dict[str, Any]]:
    """Return the roles that are configured so far; that of each user first."""
    configured = _list(c.JupyterHub, "load_roles")
    if not any(r["name"] == _USER for r in configured):
        configured.insert(0, {"name": _USER, "scopes": ["self"]})
    if "server_token_scopes" not in c.Spawner:
        # A user's server reports its activity and its identity, and no more.
        c.Spawner.server_token_scopes = ["users:activity!server", "access:servers!server", "read:users:name!user"]
    return configured


def address(name: str) -> str:
    """Return where servers and other services reach a service, without the proxy."""
    here = installation()
    host = f"http://{name}:8080" if here.on_kubernetes else f"http://127.0.0.1:{here.port(name)}"
    return f"{host}/services/{name}"


def _list(section: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(section.get(name), list):
        section[name] = []
    entries: list[dict[str, Any]] = section[name]
    return entries
