"""The operator's file: what each line means, and how the whole is read and held together."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import yaml

from geodes_lab.policy.reading import Refused, read
from geodes_lab.policy.sense import is_loopback, problems, warnings
from geodes_lab.policy.units import Bytes, Seconds

_GIB = 2**30


@dataclass(frozen=True)
class Claims:
    """Where the provider says what; each a claim's name, or a path of names with dots."""

    name: str = "preferred_username"
    groups: tuple[str, ...] = ("groups",)
    """All of them are looked at; Keycloak's realm roles are ``realm_access.roles``."""
    source: Literal["userinfo", "id_token", "access_token"] = "userinfo"
    """Tokens are verified by the provider's keys before they are believed."""


@dataclass(frozen=True)
class Oidc:
    """The provider that people log in with."""

    issuer: str
    client_id: str
    authorize_url: str = ""
    token_url: str = ""
    userinfo_url: str = ""
    keys_url: str = ""
    logout_url: str = ""
    """These follow from the issuer as Keycloak has them, if not given."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    claims: Claims = field(default_factory=Claims)
    audience: str = ""
    """Whom verified tokens must be for: the client, if not given."""
    authority: str = ""
    """The file of the authority that signed the provider's certificate, if the system does not know it."""
    basic_auth: bool = False
    refresh: Seconds = Seconds(300)
    """How old what is known of a person may be before the provider is asked again."""
    grace: Seconds = Seconds(3600)
    """How long people who are in keep working while the provider does not answer."""
    title: str = "GEODES"

    def __post_init__(self) -> None:
        host = urlsplit(self.issuer)
        if host.scheme != "https" and not is_loopback(host.hostname or ""):
            raise ValueError(f"the issuer {self.issuer!r} is not https: tokens would travel in the open.")

    def url(self, what: Literal["authorize", "token", "userinfo", "keys", "logout"]) -> str:
        """One of the provider's addresses."""
        given: str = getattr(self, f"{what}_url")
        keycloak = {"authorize": "auth", "keys": "certs"}.get(what, what)
        return given or f"{self.issuer.rstrip('/')}/protocol/openid-connect/{keycloak}"


@dataclass(frozen=True)
class Login:
    """Who enters."""

    kind: Literal["link", "oidc"] = "link"
    """``link``: the one person who started the lab, by a link that works once, on loopback only."""
    oidc: Oidc | None = None
    blocked: tuple[str, ...] = ()
    """Names that do not enter, whatever their groups."""

    def __post_init__(self) -> None:
        if (self.kind == "oidc") != (self.oidc is not None):
            raise ValueError("kind: oidc goes with the lines of `oidc`, and these with it.")


@dataclass(frozen=True)
class Profile:
    """One size of server."""

    title: str
    titre: str = ""
    """The same in French."""
    cores: float = 2
    memory: Bytes = Bytes(4 * _GIB)
    gpus: int = 0
    gpu_kind: str = "nvidia.com/gpu"
    """Kubernetes's name of the resource."""
    image: str = ""
    """Kubernetes: another image."""


@dataclass(frozen=True)
class Dask:
    """How much Dask a person may have at once; so much where none of the person's groups says it."""

    clusters: int = 1
    cores: int = 8
    memory: Bytes = Bytes(32 * _GIB)


@dataclass(frozen=True)
class DaskGrant:
    """How much Dask a group grants; what it does not say it does not grant."""

    clusters: int | None = None
    cores: int | None = None
    memory: Bytes | None = None


@dataclass(frozen=True)
class Quota:
    """What a person may use; per calendar month but for the storage. No limit where no group of the person says one."""

    core_hours: float | None = None
    memory_hours: float | None = None
    """GiB × hours."""
    read: Bytes | None = None
    storage: Bytes | None = None


@dataclass(frozen=True)
class Group:
    """What the members of a group may do.

    Who is in several has all of it, and of each limit the largest that one of them says: what a group does not say it
    does not grant, so that it lifts no limit of another.
    """

    enter: bool = True
    admin: bool = False
    profiles: tuple[str, ...] = ()
    dask: DaskGrant = field(default_factory=DaskGrant)
    quota: Quota = field(default_factory=Quota)
    unlimited: bool = False
    """No quota holds for the members, whatever their other groups say."""


@dataclass(frozen=True)
class Restricted:
    """A collection that only some groups see and read."""

    groups: tuple[str, ...]
    places: tuple[str, ...] = ()
    """Where its products are on the datalake: ``bucket`` or ``bucket/prefix``."""


@dataclass(frozen=True)
class Datalake:
    """Where the products are, and through what users' servers read them."""

    endpoint: str = ""
    """The S3 endpoint; nothing said: the one of the library's settings."""
    region: str = "us-east-1"
    folder: str = ""
    """A folder that holds buckets as folders, in place of an endpoint."""
    gate: bool = False
    """Whether servers read through the lab's gate: it knows who asks, refuses what is restricted, and counts."""
    collections: dict[str, str] = field(default_factory=dict)
    """For the accounts: which collection is in a ``bucket`` or ``bucket/prefix``; others are called as their bucket."""


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
    """What `geodes-lab harvest` wrote."""
    static: str = ""
    """Or a static catalogue's catalog.json."""
    public: bool = False
    """Whether who has not logged in may search what is not restricted; the list of collections is for all."""
    origins: tuple[str, ...] = ()
    """The web sites whose pages may ask it, such as ``https://map.geodes.example``."""
    results: Results = field(default_factory=Results)

    def __post_init__(self) -> None:
        for origin in self.origins:
            if not re.fullmatch(r"https?://[\w.-]+(:\d+)?", origin, re.ASCII):
                raise ValueError(f"{origin!r} of origins is no web site such as https://map.geodes.example.")


@dataclass(frozen=True)
class Servers:
    """How users' servers are started."""

    kind: Literal["process", "accounts", "systemd", "kubernetes"] = "process"
    """``process``: all as the hub's own user, for one trusted person on loopback.

    ``accounts``: as root, with unix accounts.
    ``systemd``: the same, and limits of memory and cores that hold. ``kubernetes``: pods, by the chart."""
    profile: str = ""
    """The one that is chosen for who chooses none: the first that the person may have, if not given."""
    account_prefix: str = "lab-"
    """Unix accounts are called so, then as the person: no person becomes an account of the system."""
    folder: str = "/opt/geodes-lab"
    """Kubernetes: where the lab's own files are in the image."""
    reserve: float = 0.25
    """Kubernetes: the part of its cores that a server has for certain; the rest it has while others leave it."""
    maximum: int = 0
    """Servers at once; 0: as many as fit."""


@dataclass(frozen=True)
class Home:
    """People's homes and the folder that all see."""

    folder: str = ""
    """Where the homes are; nothing said: ``homes`` in the state."""
    quota: Bytes | None = None
    """Of each home; a group's quota of storage goes before it."""
    warn: float = 0.8
    """From which part of it on people are told."""
    shared: str = ""
    """A folder that all read and admins write."""
    groups: str = ""
    """``accounts`` and ``systemd``: where each group of `groups` has a folder that its members write and read."""


@dataclass(frozen=True)
class Culling:
    """When servers are stopped."""

    idle: Seconds = Seconds(3600)
    """After so long without activity; 0: never."""
    warning: Seconds = Seconds(600)
    """So long before, the person is told, and may keep it."""
    age: Seconds = Seconds(7 * 86400)
    """So old no server grows, busy or not; 0: any age."""
    every: Seconds = Seconds(60)


@dataclass(frozen=True)
class Usage:
    """The accounts of use."""

    every: Seconds = Seconds(60)
    """How often is looked who uses what."""
    keep: Seconds = Seconds(800 * 86400)
    """How long the accounts of a person are kept; then they are only sums."""
    metrics_token_file: str = ""
    """A file with the token that Prometheus shows; without it the metrics are for admins."""


@dataclass(frozen=True)
class Lab:
    """One lab."""

    name: str = "GEODES Lab"
    address: str = ""
    """Its public address; the one where it listens, if not given."""
    listen: str = "http://127.0.0.1:8000"
    certificate: str = ""
    key: str = ""
    """TLS of the lab's own; not needed on loopback behind another server."""
    behind_tls: bool = False
    """Whether another server with TLS stands before it, on a network that only the two share."""
    subdomains: bool | None = None
    """Whether each person and each service gets a host name of its own, so that no page acts for another.

    Nothing said: ``apart``.
    """
    state: str = "/var/lib/geodes-lab"
    secrets: str = ""
    """The folder with `client_secret`, `crypt_keys`, `datalake_key` …, a file each.

    Nothing said: ``secrets`` in the state.
    """
    trial: str = ""
    """The group whose rights the robot has that tries the lab (``hub/trial.py``); nothing said: there is no robot."""
    contact: str = "the operator of this lab"
    """Whom a refused person is told to ask."""
    language: Literal["en", "fr"] = "en"
    """Of who asks for neither."""
    assistant: Literal["hidden", "offered", "forbidden"] = "hidden"
    """Whether people's assistants are told of ``geodes-lab mcp``.

    ``hidden``: no, but who knows it may start it; ``forbidden``: it does not start.
    """
    login: Login = field(default_factory=Login)
    groups: dict[str, Group] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    restricted: dict[str, Restricted] = field(default_factory=dict)
    datalake: Datalake = field(default_factory=Datalake)
    catalogue: Catalogue = field(default_factory=Catalogue)
    servers: Servers = field(default_factory=Servers)
    home: Home = field(default_factory=Home)
    culling: Culling = field(default_factory=Culling)
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        for problem in problems(self):
            raise ValueError(problem)

    @property
    def is_local(self) -> bool:
        """Whether it listens where only this machine reaches it."""
        return is_loopback(urlsplit(self.listen).hostname or "")

    @property
    def apart(self) -> bool:
        """Whether people and services have host names.

        As ``subdomains`` says, else wherever more than one person logs in.
        """
        return self.login.kind == "oidc" if self.subdomains is None else self.subdomains

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator chose and should know the cost of, a sentence each; the hub says them when it starts."""
        return tuple(warnings(self))

    def origin(self, service: str = "") -> str:
        """Scheme and host before the path of a link.

        Parameters
        ----------
        service
            One of the services beside the hub; empty: the hub itself.

        Returns
        -------
        str
            Empty where all have one origin, so that the path alone is the link. JupyterHub's own rule makes the same
            host names.
        """
        public = urlsplit(self.address)
        host = f"{service}--service.{public.netloc}" if service else public.netloc
        return f"{public.scheme}://{host}" if self.apart else ""


def load(path: Path | str) -> Lab:
    """Read the operator's file.

    Raises
    ------
    Refused
        If it cannot be read, or says what cannot be: a sentence that names the line.
    """
    path = Path(path)
    try:
        lab: Lab = read(Lab, yaml.safe_load(path.read_text()), "")
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from None
    except yaml.YAMLError as error:
        raise Refused(f"{path} is no YAML: {' '.join(str(error).split())}.") from None
    except Refused as refused:
        raise Refused(f"{path}: {refused}") from None
    return lab
