"""The operator's file: what each line means, and how the whole is read and held together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import yaml

from geodes_lab.policy.groups import Group, Profile
from geodes_lab.policy.login import Login
from geodes_lab.policy.mail import Mail
from geodes_lab.policy.prices import Budgets, Prices, Project, Tariff
from geodes_lab.policy.reading import Refused, read
from geodes_lab.policy.sense import is_loopback, problems, warnings
from geodes_lab.policy.servers import Culling, Home, Servers, Usage
from geodes_lab.policy.services import Catalogue, Datalake, Jobs, Restricted


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
