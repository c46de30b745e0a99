"""The services beside the hub, as ``services.yaml`` declares them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from hub.installation import Installation

_OF_THE_CHART = {"ready", "asked_by", "reaches", "secrets", "reads", "pod"}


@dataclass(frozen=True)
class Needs:
    """What a service needs beside its own folder."""

    reads: tuple[str, ...] = ()
    """Files and folders, read-only."""
    secrets: tuple[str, ...] = ()
    """Names of files in the folder of secrets."""
    former: tuple[str, ...] = ()
    """What an earlier version of the lab kept for it in the state itself."""
    capability: str = ""
    """The one power of root that it has; each is a risk, so that whoever has one takes nothing from users."""


@dataclass(frozen=True)
class Extra:
    """What depends on this installation.

    ``extra(here)`` of a service's ``declaration.py`` gives it, or None: it is not there.
    """

    arguments: tuple[str, ...] = ()
    """Of its command. Secrets belong into the environment, since `ps` shows arguments."""
    environment: dict[str, str] = field(default_factory=dict)
    """Of its process."""
    needs: Needs = Needs()
    """What it reads and has beside its own folder."""
    servers: dict[str, object] = field(default_factory=dict)
    """Of people's servers."""


@dataclass(frozen=True)
class Service:
    """One line of ``services.yaml``, which says what each field means."""

    name: str
    scopes: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    acts_at: tuple[str, ...] = ()
    display: bool = False
    for_servers: bool = False
    listens: bool = True
    if_gate: bool = False

    def extra(self, here: Installation) -> Extra | None:
        """What depends on this installation; None: the service is not there."""
        if self.if_gate and not here.lab.datalake.gate:
            return None
        module = f"hub.services.{self.name}.declaration"
        found: Extra | None = import_module(module).extra(here) if find_spec(module) else Extra()
        return found


@cache
def services() -> dict[str, Service]:
    """All services by name, in the order of their ports."""
    declared = yaml.safe_load(Path(__file__).with_name("services.yaml").read_text())
    found = {name: _service(name, lines or {}) for name, lines in declared.items()}
    for service in found.values():
        if unknown := {*service.asks, *service.acts_at} - set(found):
            raise ValueError(f"services.yaml: {service.name} asks {', '.join(sorted(unknown))}, which is no service.")
        if service.listens and "pod" not in (declared[service.name] or {}):
            raise ValueError(f"services.yaml: {service.name} has no pod: say its size, or listens: false.")
    return found


def _service(name: str, lines: dict[str, Any]) -> Service:
    own = {f.name for f in fields(Service)} - {"name"}
    if unknown := set(lines) - own - _OF_THE_CHART:
        raise ValueError(f"services.yaml: {name} has {', '.join(sorted(unknown))}, which nothing reads.")
    told: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in lines.items() if key in own}
    return Service(name, **told)


def listening() -> tuple[str, ...]:
    """The names of those that have an address."""
    return tuple(name for name, service in services().items() if service.listens)
