"""Services beside the hub: each with an address of its own, the scopes that it needs and no more."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hub.installation import TOP, Installation, installation, python
from hub.services import declared
from hub.services.declared import Needs, Service

_USER = "user"


def register(c: Any, service: Service) -> None:
    """Tell the hub of a service that ``python -m hub.services.NAME`` starts, and people's servers of it.

    Parameters
    ----------
    c
        The configuration.
    service
        As ``services.yaml`` declares it. Where this installation has none, nothing is set.
    """
    here = installation()
    extra = service.extra(here)
    if extra is None:
        return
    name, access = service.name, f"access:services!service={service.name}"
    acts_at = [other for other in service.acts_at if _is_there(other, here)]
    told: dict[str, Any] = {"name": name, "display": service.display}
    if service.listens:
        further = [f"access:services!service={other}" for other in acts_at]
        allowed = ["read:users:name!user", access, *further]
        told |= {"oauth_no_confirm": True, "oauth_client_allowed_scopes": allowed}
    if here.on_kubernetes:  # a pod of its own, which the chart starts; the token is a secret of both
        told |= {"url": f"http://{name}:8080", "api_token": here.secret(f"{name}_token")}
    else:
        if service.listens:
            told |= {"url": f"http://127.0.0.1:{here.port(name)}"}
        command = [python(), "-m", f"hub.services.{name}", *extra.arguments]
        told |= {
            "command": confined(name, command, extra.needs, listens=service.listens),
            "environment": {
                "PYTHONPATH": str(TOP),
                "GEODES_LAB_ADDRESS": here.address,
                **{k: v for k, v in os.environ.items() if k.startswith("DASK_GEODES_LAB__") or k == "GEODES_LAB_RUN"},
                **{f"GEODES_LAB_{other.upper()}": address(other) for other in (*service.asks, *acts_at)},
                **extra.environment,
            },
        }
    services(c).append(told)
    if service.listens:
        allow(c, _USER, access)
    if service.for_servers:
        c.Spawner.server_token_scopes.append(access)
    scopes = [*service.scopes, *(f"access:services!service={other}" for other in service.asks)]
    roles(c).append({"name": name, "scopes": scopes, "services": [name]})
    c.Spawner.environment.update(extra.servers)


def _is_there(name: str, here: Installation) -> bool:
    return declared.services()[name].extra(here) is not None


def confined(name: str, command: list[str], needs: Needs, *, listens: bool = True) -> list[str]:
    """The command that runs another as a user of its own without rights (hub/services/confined.py)."""
    here = installation()
    told: dict[str, Sequence[object]] = {
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
    said = [f"--{option}={value}" for option, values in told.items() for value in values]
    # The one person of a lab on loopback may start it where the system confines nothing.
    lenient = ["--lenient"] if here.lab.servers.kind == "process" else []
    return [python(), "-m", "hub.services.confined", *said, *lenient, "--", *command]


def keeps(here: Installation, name: str) -> Path:
    """The folder that a service owns."""
    return here.state / "services" / name


def _authority() -> list[str]:
    """The file of the datalake's own authority, where a setting names one."""
    found = os.environ.get("DASK_GEODES_LAB__DATALAKE__CA")
    return [found] if found else []


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
