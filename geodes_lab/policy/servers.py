"""People's servers and homes: how they start, when they stop, what is counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from geodes_lab.policy.units import Bytes, Seconds


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
