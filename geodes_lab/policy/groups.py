"""What the members of a group may do: sizes of servers, Dask, quotas."""

from __future__ import annotations

from dataclasses import dataclass, field

from geodes_lab.policy.units import Bytes

_GIB = 2**30


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
