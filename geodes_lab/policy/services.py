"""What a lab offers besides servers: the datalake, the catalogue, jobs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from geodes_lab.policy.units import Bytes

_GIB = 2**30


@dataclass(frozen=True)
class Restricted:
    """A collection that only some groups see and read."""

    groups: tuple[str, ...]
    places: tuple[str, ...] = ()
    """The place of its products on the datalake: ``bucket`` or ``bucket/prefix``."""


@dataclass(frozen=True)
class Datalake:
    """Where the products are, and through what users' servers read them."""

    endpoint: str = ""
    """The S3 endpoint; by default the endpoint in the library's settings."""
    region: str = "us-east-1"
    folder: str = ""
    """A folder with one folder per bucket, instead of an endpoint."""
    gate: bool = False
    """Whether servers read through the lab's gate: it identifies users, refuses restricted data, and counts bytes."""
    collections: dict[str, str] = field(default_factory=dict)
    """For the usage accounts: the collection in a ``bucket`` or ``bucket/prefix``.

    Other data are counted under the name of their bucket.
    """


@dataclass(frozen=True)
class Results:
    """How much of people's own results the catalogue keeps."""

    storage: Bytes = Bytes(200 * 2**20)
    """Of a person."""
    items: int = 20_000
    """Of a person."""
    whole: Bytes = Bytes(20 * _GIB)
    """Of all people together."""


@dataclass(frozen=True)
class Catalogue:
    """What is searched."""

    folder: str = ""
    """The folder that `geodes-lab harvest` wrote."""
    static: str = ""
    """Or the catalog.json of a static catalogue."""
    news: str = ""
    """The folder to which `geodes-lab acquire` writes its news: the first page shows the newest."""
    public: bool = False
    """Whether people without a login can search unrestricted collections. Everybody can see the list of collections."""
    origins: tuple[str, ...] = ()
    """The web sites whose pages can send requests to it, such as ``https://map.geodes.example``."""
    results: Results = field(default_factory=Results)
    processes: int = 0
    """How many processes answer; 0: one on one or two cores, else as many as cores, at most four."""

    def __post_init__(self) -> None:
        if not 0 <= self.processes <= 64:
            raise ValueError(f"processes is {self.processes}: say 1 to 64, or 0 for as many as the cores suggest.")
        for origin in self.origins:
            if not re.fullmatch(r"https?://[\w.-]+(:\d+)?", origin, re.ASCII):
                raise ValueError(f"{origin!r} in origins is not a web site such as https://map.geodes.example.")


@dataclass(frozen=True)
class Postgresql:
    """A PostgreSQL; the password is a file of the folder of secrets."""

    host: str
    database: str
    user: str
    port: int = 5432
    sslmode: Literal["", "disable", "prefer", "require", "verify-ca", "verify-full"] = ""
    """Empty: ``verify-full``, but ``prefer`` on the same machine."""
    sslrootcert: str = ""
    """A file with the authorities that its certificate may be of; empty: the system's."""


@dataclass(frozen=True)
class Jobs:
    """Jobs, which go on without their person."""

    processes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The groups that can use a process, by its id; whatever is not named here, everybody can use."""
    callbacks: tuple[str, ...] = ()
    """The web sites that may be told of the end of a job, such as ``https://ops.example``; nobody else is ever told."""
    waiting: int = 1000
    """Jobs of a person that have not ended, at most."""
    postgresql: Postgresql | None = None
    """Where jobs are remembered; without it, in an SQLite file of the service. The password is the secret
    ``jobs_database_password``."""

    def __post_init__(self) -> None:
        for origin in self.callbacks:
            if not re.fullmatch(r"https?://[\w.-]+(:\d+)?", origin, re.ASCII):
                raise ValueError(f"{origin!r} in callbacks is not a web site such as https://ops.example.")
