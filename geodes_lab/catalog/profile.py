"""Where a catalogue is, and what is particular to it; the settings say so, since services change."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import dask.config
import yaml

from geodes_lab import settings
from geodes_lab.credentials.origin import below
from geodes_lab.errors import GeodesError, nearest

KINDS = ("geodes", "stac", "local")


@dataclass(frozen=True)
class Profile:
    """One catalogue of the settings, ``geodes_lab.catalog.profiles``."""

    name: str
    """What the settings call it."""
    kind: str
    """``geodes``: a service of its dialect.

    ``stac``: any STAC API; ``local``: a static catalogue, or an index that was harvested.
    """
    url: str
    """Its address, or its path."""
    portal: str = ""
    """Where availability and quota are asked."""
    search: str = "search"
    """What a search is sent to, below ``url``."""
    token: str = ""
    """The environment variable that holds a token for it; the token itself is no setting.

    It goes to addresses below ``url`` alone.
    """
    files: bool | None = None
    """Whether its Items may name files of this machine.

    None: if there is a token, as for the lab's own, whose results are in shared folders.
    """
    page: int = 100
    """Items of an answer, at most."""
    parallel: int = 8
    """Requests under way together."""
    prefix: str = ""
    """How the id of an Item in the service's own dialect begins."""
    sort: str = "sortby"
    """How a search says the order that it wants."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Properties in STAC's words: how the service calls them."""
    collections: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What is known of the collections beforehand: ``format`` and ``cube``. Empty: the catalogue is asked."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Collections that had another id before."""
    queryables: Mapping[str, str] = field(default_factory=dict)
    """The properties that may be asked for, with their types. Empty: the catalogue is asked."""

    @property
    def names_files(self) -> bool:
        """Whether its Items may name files of this machine."""
        return bool(self.token) if self.files is None else self.files


def load(name: str | None = None, url: str | os.PathLike[str] | None = None) -> Profile:
    """Find a profile by its name, or make one of an address; no I/O but a file of ours.

    Raises
    ------
    GeodesError
        If the settings have no such profile, or it says no address.
    """
    profiles = settings.get("catalog.profiles")
    if url is not None:
        url = os.fspath(url)
        told = _complete(name, profiles) if name else {}
        if not below(url, str(told.get("url") or "")):
            # What the settings trust is the address that they name: another one gets neither its credential nor its
            # rights.
            told = {k: v for k, v in told.items() if k not in ("token", "files")}
        return _made(name or url, told | {"url": url})
    name = name or settings.get("catalog.profile")
    told = _complete(name, profiles)
    if not told.get("url"):
        raise GeodesError(
            f"The catalogue profile {name!r} has no url: "
            + (
                "the lab's own notebooks and terminals have one (`make lab`); elsewhere say a catalogue by url= "
                "(--url) or another profile, or "
                if told.get("kind") == "local"
                else ""
            )
            + f"set geodes_lab.catalog.profiles.{name}.url to its address, the path of a catalog.json or of a "
            "harvested index."
        )
    return _made(name, told)


def _complete(name: str, profiles: Mapping[str, Any]) -> dict[str, Any]:
    if name not in profiles:
        raise GeodesError(
            f"There is no catalogue profile {name!r}{nearest(name, profiles) or ''}; the settings have: "
            f"{', '.join(profiles)}."
        )
    told = dict(profiles[name] or {})
    ours: dict[str, Any] = geodes() if told.get("kind") == "geodes" else {}
    return dict(dask.config.merge(ours, told))


def _made(name: str, told: dict[str, Any]) -> Profile:
    known = {f.name for f in fields(Profile)} - {"name"}
    for key in told:
        if key not in known:
            raise GeodesError(
                f"geodes_lab.catalog.profiles.{name}.{key} is no setting{nearest(key, known)}; there are: "
                f"{', '.join(sorted(known))}."
            )
    told.setdefault("kind", "local" if told["url"].endswith(".json") or "://" not in told["url"] else "stac")
    if told["kind"] not in KINDS:
        raise GeodesError(f"geodes_lab.catalog.profiles.{name}.kind is {' or '.join(KINDS)}, not {told['kind']!r}.")
    return Profile(name=name, **told | {"url": str(told["url"]).rstrip("/")})


@cache
def geodes() -> dict[str, Any]:
    """What is known of GEODES beforehand, for a profile of its kind."""
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("geodes.yaml").read_text())
    return found
