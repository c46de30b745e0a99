"""What a user asks of a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from dask.utils import parse_bytes

from geodes_lab import arguments
from geodes_lab.errors import GeodesError

PLACES = ("local", "gateway", "slurm")


@dataclass(frozen=True)
class ClusterRequest:
    """How many workers, how large, and whether their number follows the work."""

    workers: int | None = None
    """None: as many as there is room for, or the settings say."""
    memory: int | None = None
    """Of each worker, in bytes; None: as the place gives it."""
    adaptive: bool = False
    """Whether workers come and go with the work; ``workers`` is then the most."""
    least: int | None = None
    """How few there may be then; None: as the place has it."""

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was asked for."""
        return self == ClusterRequest()


def understood(workers: int | None, memory: str | int | None, adaptive: bool) -> ClusterRequest:
    """Read what a user said.

    Raises
    ------
    GeodesError
        If it makes no sense.
    """
    if workers is not None:
        workers = arguments.whole("workers", workers, "a number of workers, at least 1", 1)
    try:
        size = None if memory is None else parse_bytes(memory)
    except ValueError:
        raise GeodesError(f"memory is that of each worker, such as '4GiB', not {memory!r}.") from None
    if size is not None and size < 2**28:
        raise GeodesError(f"memory is that of each worker, and {memory!r} is too little: give '256MiB' or more.")
    return ClusterRequest(workers, size, adaptive)
