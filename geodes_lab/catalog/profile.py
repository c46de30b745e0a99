"""Where a catalogue is, and its particularities; they are settings, because services change."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import dask.config

from geodes_lab import settings
from geodes_lab.credentials.origin import below
from geodes_lab.errors import GeodesError, nearest

KINDS = ("geodes", "stac", "local")


@dataclass(frozen=True)
class Profile:
    """One catalogue of the settings, ``geodes_lab.catalog.profiles``."""

    name: str
    """Its name in the settings."""
    kind: str
    """``geodes``: a service with GEODES's dialect.

    ``stac``: any STAC API; ``local``: a static catalogue, or a harvested index.
    """
    url: str
    """Its address, or its path."""
    portal: str = ""
    """The address for availability and quota."""
    search: str = "search"
    """The path of a search, below ``url``."""
    token: str = ""
    """The environment variable with its token; the token itself is not a setting.

    The token is sent only to addresses below ``url``.
    """
    files: bool | None = None
    """Whether its Items may name files of this machine.

    None: yes if there is a token, as for the lab's own catalogue, whose results are in shared folders.
    """
    page: int = 100
    """Items in one answer, at most."""
    parallel: int = 8
    """Requests at the same time."""
    prefix: str = ""
    """The prefix of an Item's id in the service's own dialect."""
    sort: str = "sortby"
    """How a search specifies its order."""
    names: Mapping[str, str] = field(default_factory=dict)
    """STAC's property names: the service's names for them."""
    collections: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Facts about the collections: ``format`` and ``cube``. Empty: the catalogue is asked."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Collections that had another id before."""
    queryables: Mapping[str, str] = field(default_factory=dict)
    """The properties that a search can use, with their types. Empty: the catalogue is asked."""

    @property
    def names_files(self) -> bool:
        """Whether its Items may name files of this machine."""
        return bool(self.token) if self.files is None else self.files


def load(name: str | None = None, url: str | os.PathLike[str] | None = None) -> Profile:
    """Find a profile by its name, or make one for an address; no I/O except to read a file of the package.

    Raises
    ------
    GeodesError
        If the settings have no such profile, or it has no address.
    """
    if name is not None and not isinstance(name, str):
        raise GeodesError(f"profile is the name of one catalogue here, not {name!r}: gl.search alone takes several.")
    profiles = settings.get("catalog.profiles")
    if url is not None:
        url = os.fspath(url)
        fields = _complete(name, profiles) if name else {}
        if not below(url, str(fields.get("url") or "")):
            # The settings trust only the address that they name: another one gets neither its credential nor its
            # rights.
            fields = {k: v for k, v in fields.items() if k not in ("token", "files")}
        return _made(name or url, fields | {"url": url})
    name = name or settings.get("catalog.profile")
    fields = _complete(name, profiles)
    if not fields.get("url"):
        raise GeodesError(
            f"The catalogue profile {name!r} has no url: "
            + (
                "the notebooks and terminals of the lab set it (`make lab`). Elsewhere, give a catalogue with url= "
                "(--url), name another profile, or "
                if fields.get("kind") == "local"
                else ""
            )
            + f"set geodes_lab.catalog.profiles.{name}.url to an address, the path of a catalog.json or of a "
            "harvested index."
        )
    return _made(name, fields)


def _complete(name: str, profiles: Mapping[str, Any]) -> dict[str, Any]:
    if name not in profiles:
        raise GeodesError(
            f"There is no catalogue profile {name!r}{nearest(name, profiles) or ''}; the settings have: "
            f"{', '.join(profiles)}."
        )
    fields = dict(profiles[name] or {})
    ours: dict[str, Any] = geodes() if fields.get("kind") == "geodes" else {}
    return dict(dask.config.merge(ours, fields))


def _made(name: str, values: dict[str, Any]) -> Profile:
    known = {f.name for f in fields(Profile)} - {"name"}
    for key in values:
        if key not in known:
            raise GeodesError(
                f"geodes_lab.catalog.profiles.{name}.{key} is not a setting{nearest(key, known)}; the settings are: "
                f"{', '.join(sorted(known))}."
            )
    values.setdefault("kind", "local" if values["url"].endswith(".json") or "://" not in values["url"] else "stac")
    if values["kind"] not in KINDS:
        raise GeodesError(f"geodes_lab.catalog.profiles.{name}.kind is {' or '.join(KINDS)}, not {values['kind']!r}.")
    return Profile(name=name, **values | {"url": str(values["url"]).rstrip("/")})


@cache
def geodes() -> dict[str, Any]:
    """Return the known facts about GEODES, for a profile of its kind."""
    return settings.packaged(Path(__file__).with_name("geodes.yaml"))
