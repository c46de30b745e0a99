"""The services beside the hub, from ``services.yaml``."""

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
    """Files that an earlier version of the lab kept for it in the state folder."""
    capability: str = ""
    """The one capability of root that it has; each is a risk, so a service with one accepts no input from users."""


@dataclass(frozen=True)
class Extra:
    """The settings that depend on this installation.

    ``extra(here)`` of a service's ``declaration.py`` returns it, or None: the service is not installed.
    """

    arguments: tuple[str, ...] = ()
    """Arguments of its command. Secrets belong in the environment, because `ps` shows arguments."""
    environment: dict[str, str] = field(default_factory=dict)
    """Environment of its process."""
    needs: Needs = Needs()
    """What it reads besides its own folder."""
    servers: dict[str, object] = field(default_factory=dict)
    """Environment of people's servers."""


@dataclass(frozen=True)
class Service:
    """One line of ``services.yaml``, which documents each field."""

    name: str
    scopes: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    acts_at: tuple[str, ...] = ()
    display: bool = False
    for_operators: bool = False
    for_servers: bool = False
    listens: bool = True
    if_gate: bool = False
    when_asked: bool = False

    def extra(self, here: Installation) -> Extra | None:
        """Return the settings that depend on this installation; None: the service is not installed."""
        if self.if_gate and not here.lab.datalake.gate:
            return None
        module = f"hub.services.{self.name}.declaration"
        settings: Extra | None = import_module(module).extra(here) if find_spec(module) else Extra()
        return settings


@cache
def services() -> dict[str, Service]:
    """Return all services by name, in the order of their ports."""
    declared = yaml.safe_load(Path(__file__).with_name("services.yaml").read_text())
    by_name = {name: _service(name, lines or {}) for name, lines in declared.items()}
    for service in by_name.values():
        if unknown := {*service.asks, *service.acts_at} - set(by_name):
            raise ValueError(
                f"services.yaml: {service.name} uses {', '.join(sorted(unknown))}, which is not a service."
            )
        if service.listens and "pod" not in (declared[service.name] or {}):
            raise ValueError(
                f"services.yaml: {service.name} has no pod: give the size of its pod, or set listens: false."
            )
    return by_name


def _service(name: str, lines: dict[str, Any]) -> Service:
    own = {f.name for f in fields(Service)} - {"name"}
    if unknown := set(lines) - own - _OF_THE_CHART:
        raise ValueError(f"services.yaml: {name} has {', '.join(sorted(unknown))}, which is not a known setting.")
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in lines.items() if key in own}
    return Service(name, **values)


def listening() -> tuple[str, ...]:
    """Return the names of the services with an address."""
    return tuple(name for name, service in services().items() if service.listens)
