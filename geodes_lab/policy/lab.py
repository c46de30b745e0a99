"""The operator's file: what each line means, and how the whole is read and held together."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import yaml

from geodes_lab.policy.mail import Mail
from geodes_lab.policy.prices import Budgets, Prices, Project, Tariff
from geodes_lab.policy.reading import Refused, read
from geodes_lab.policy.sense import is_loopback, problems, warnings
from geodes_lab.policy.units import Bytes, Seconds

_GIB = 2**30


@dataclass(frozen=True)
class Claims:
    """Where the provider says what; each a claim's name, or a path of names with dots."""

    name: str = "preferred_username"
    groups: tuple[str, ...] = ("groups",)
    """Every claim in the list is read. For Keycloak's realm roles write ``realm_access.roles``."""
    source: Literal["userinfo", "id_token", "access_token"] = "userinfo"
    """Tokens are verified with the provider's keys before they are used."""


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
    """By default, the hub asks the provider for these five (``/.well-known/openid-configuration`` below the issuer)."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    claims: Claims = field(default_factory=Claims)
    audience: str = ""
    """The audience that verified tokens must have; by default, the client."""
    authority: str = ""
    """The CA file for the provider's certificate, if the system does not trust it."""
    basic_auth: bool = False
    refresh: Seconds = Seconds(300)
    """The age of the data about a person after which the provider is asked again."""
    grace: Seconds = Seconds(3600)
    """How long logged-in people can work while the provider does not answer."""
    title: str = "GEODES"

    def __post_init__(self) -> None:
        host = urlsplit(self.issuer)
        if host.scheme != "https" and not is_loopback(host.hostname or ""):
            raise ValueError(f"the issuer {self.issuer!r} is not https, so others could read the tokens: use https.")


@dataclass(frozen=True)
class Login:
    """Who enters."""

    kind: Literal["link", "oidc"] = "link"
    """``link``: only the person who started the lab, with a link that works once, on loopback."""
    oidc: Oidc | None = None
    blocked: tuple[str, ...] = ()
    """Names of persons who have no access, whatever their groups."""

    def __post_init__(self) -> None:
        if (self.kind == "oidc") != (self.oidc is not None):
            raise ValueError("kind: oidc needs the section `oidc`, and this section needs kind: oidc.")


@dataclass(frozen=True)
class Profile:
    """One size of server."""

    title: str
    titre: str = ""
    """The title in French."""
    cores: float = 2
    memory: Bytes = Bytes(4 * _GIB)
    gpus: int = 0
    gpu_kind: str = "nvidia.com/gpu"
    """Kubernetes: the name of the resource."""
    image: str = ""
    """Kubernetes: the image, if it is not the usual one."""


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
    """The members have no quota, whatever their other groups say."""
    collaboration: bool = False
    """Whether the group has a common server, where its members edit notebooks at the same time."""


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

    def __post_init__(self) -> None:
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


@dataclass(frozen=True)
class Servers:
    """How users' servers are started."""

    kind: Literal["process", "accounts", "systemd", "kubernetes"] = "process"
    """``process``: everything runs as the hub's own user, for one trusted person on loopback.

    ``accounts``: the hub runs as root, with unix accounts.
    ``systemd``: the same, with enforced limits of memory and cores. ``kubernetes``: pods, by the chart."""
    profile: str = ""
    """The default profile; by default the first profile that the person can have."""
    account_prefix: str = "lab-"
    """The prefix of the names of unix accounts, so that no person becomes an account of the system."""
    folder: str = "/opt/geodes-lab"
    """Kubernetes: the folder of the lab's files in the image."""
    reserve: float = 0.25
    """Kubernetes: the fraction of its cores that is reserved for a server; it can use the rest when others do not."""
    maximum: int = 0
    """The number of servers at the same time; 0: as many as the machines can run."""


@dataclass(frozen=True)
class Home:
    """People's homes and the folder that all see."""

    folder: str = ""
    """The folder of the homes; by default ``homes`` in the state, which only its owner passes: several need another."""
    quota: Bytes | None = None
    """The size limit of each home; a group's quota of storage replaces it, and ``unlimited`` of a group lifts it."""
    warn: float = 0.8
    """The used fraction of the home from which people get a warning."""
    shared: str = ""
    """A folder that all read and admins write."""
    groups: str = ""
    """Where each group of `groups` has a folder that its members write and read.

    On Kubernetes: where the chart's volume for them is in people's pods; a member writes the own results alone.
    """


@dataclass(frozen=True)
class Culling:
    """When servers are stopped."""

    idle: Seconds = Seconds(3600)
    """Stop a server after this time without activity; 0: never."""
    warning: Seconds = Seconds(600)
    """Warn the person this long before, so that they can keep the server."""
    age: Seconds = Seconds(7 * 86400)
    """Stop a server at this age, busy or not; 0: never."""
    every: Seconds = Seconds(60)


@dataclass(frozen=True)
class Usage:
    """The accounts of use."""

    every: Seconds = Seconds(60)
    """The interval between two measurements of usage."""
    keep: Seconds = Seconds(800 * 86400)
    """How long usage is stored by person; later only sums are stored."""
    metrics_token_file: str = ""
    """A file with the token that Prometheus sends; without it, only admins can read the metrics."""


@dataclass(frozen=True)
class Lab:
    """One lab."""

    name: str = "GEODES Lab"
    address: str = ""
    """Its public address; by default the address where it listens."""
    listen: str = "http://127.0.0.1:8000"
    certificate: str = ""
    key: str = ""
    """The lab's own TLS; not needed on loopback or behind another server with TLS."""
    behind_tls: bool = False
    """Whether another server with TLS is in front of it, on a network that only these two use."""
    subdomains: bool | None = None
    """Whether each person and each service has its own host name, so that no page can act for another.

    By default: ``apart``.
    """
    state: str = "/var/lib/geodes-lab"
    secrets: str = ""
    """The folder with `client_secret`, `crypt_keys`, `datalake_key` …, one file each.

    By default: ``secrets`` in the state.
    """
    trial: str = ""
    """The group of the robot that tests the lab (``hub/trial.py``); by default there is no robot."""
    contact: str = "the operator of this lab"
    """The contact that messages to a refused person name."""
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
    jobs: Jobs = field(default_factory=Jobs)
    mail: Mail | None = None
    """The server by which people get mails about new products of their searches; without it there are none."""
    servers: Servers = field(default_factory=Servers)
    home: Home = field(default_factory=Home)
    culling: Culling = field(default_factory=Culling)
    usage: Usage = field(default_factory=Usage)
    prices: Prices = field(default_factory=Prices)
    projects: dict[str, Project] = field(default_factory=dict)
    """In the order in which they are asked whether a person is theirs."""
    budgets: Budgets = field(default_factory=Budgets)

    def __post_init__(self) -> None:
        for problem in problems(self):
            raise ValueError(problem)

    @property
    def tariff(self) -> Tariff:
        """What decides the costs of this month."""
        return Tariff(self.prices, self.projects, self.budgets)

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
        raise Refused(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    except Refused as refused:
        raise Refused(f"{path}: {refused}") from None
    return lab
