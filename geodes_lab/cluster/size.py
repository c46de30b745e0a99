"""How large the workers are: those that there are, and those that a cluster in this server would have."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import dask
import psutil
from dask.utils import format_bytes, parse_bytes

from geodes_lab import settings
from geodes_lab.errors import GeodesError

# The kernel itself, its plots and the system live on the rest.
_SHARE_OF_MEMORY = 0.6
_CORES_PER_WORKER = 4
_LOCAL = ("sync", "synchronous", "single-threaded", "threads", "threading")
_OF_GROUP = "memory.max", "memory.high", "memory.low"
LEAST = 2**28
"""Bytes without which no cluster works."""


@dataclass(frozen=True)
class Workers:
    """The Dask workers that there are, or that `attach` would start."""

    count: int
    threads: int
    """Of each."""
    memory: int
    """Of each, in bytes."""


def workers() -> Workers:
    """Describe the workers of the client in use, the smallest standing for all.

    Without a client, what `attach` would start. Where computations are set to stay in this process, as for a unit of a
    job in a worker, it is that process: no client is opened there.
    """
    if dask.config.get("scheduler", None) in _LOCAL:
        return _here()
    if "distributed" in sys.modules:
        from distributed import get_client

        try:
            known = list(get_client(timeout=1).scheduler_info(n_workers=-1)["workers"].values())
        except (ValueError, OSError):
            known = []
        if known:
            return Workers(
                len(known), min(w["nthreads"] for w in known), min(int(w["memory_limit"] or 2**62) for w in known)
            )
    return size()


def _here() -> Workers:
    """The process itself as the only worker: with its share of the memory, if it is one of a cluster."""
    threads = int(dask.config.get("num_workers", None) or 1)
    if "distributed" in sys.modules:
        from distributed import get_worker

        try:
            worker = get_worker()
        except ValueError:
            return Workers(1, threads, size().memory)
        limit = int(worker.memory_manager.memory_limit or 0) or size().memory
        return Workers(1, threads, limit * threads // max(worker.state.nthreads, threads))
    return Workers(1, threads, size().memory)


@dataclass(frozen=True)
class Allowance:
    """What Dask workers in this server may use, of all clusters together."""

    cores: int
    memory: int
    """In bytes."""


def allowance() -> Allowance:
    """What the settings say, else the share of what this server may use.

    The smallest of machine, control group and profile.

    Raises
    ------
    GeodesError
        If the settings ``cluster.memory`` or ``cluster.cores`` make no sense.
    """
    from dask.system import CPU_COUNT

    try:
        allowed = min(CPU_COUNT, float(os.environ.get("CPU_LIMIT") or CPU_COUNT))
        cores = int(settings.get("cluster.cores") or max(int(allowed), 1))
        total = parse_bytes(settings.get("cluster.memory") or 0)
    except ValueError as error:
        raise GeodesError(
            f"The settings of geodes_lab.cluster are not valid ({error}): write memory as '8GiB', and cores as 4."
        ) from error
    # What the operator lets Dask have of a profile (GEODES_LAB_DASK_…), beside what the profile is.
    cores = min(cores, int(float(os.environ.get("GEODES_LAB_DASK_CORES") or 0)) or cores)
    available = int(min(machine(), parse_bytes(os.environ.get("MEM_LIMIT") or machine())))
    total = total or int(available * _SHARE_OF_MEMORY)
    total = min(total, int(float(os.environ.get("GEODES_LAB_DASK_MEMORY") or 0)) or total)
    if not cores >= 1 or not LEAST <= total <= available:
        raise GeodesError(
            f"A cluster of {cores} cores and {format_bytes(total)} does not fit: this server has "
            f"{format_bytes(available)}. Set geodes_lab.cluster.cores and .memory to fit (at least 256 MiB)."
        )
    return Allowance(cores, total)


@cache
def machine() -> int:
    """Return the bytes that the machine and the control group allow, as ``distributed.system`` finds them.

    It is asked each time that a cube is opened, and the import of distributed takes a third of a second.
    """
    limits = [psutil.virtual_memory().total, resource.getrlimit(resource.RLIMIT_RSS)[1]]
    for name in ("memory/memory.limit_in_bytes", "memory/memory.soft_limit_in_bytes", *_OF_GROUP):
        try:
            limits.append(int(Path("/sys/fs/cgroup", name).read_text()))
        except (OSError, ValueError):  # not this version of control groups, or "max"
            continue
    return min(limit for limit in limits if limit > 0)


def size(count: int | None = None, memory: int | None = None, taken: int = 0) -> Workers:
    """The workers of a cluster in this server.

    Parameters
    ----------
    count
        How many; None: one for each four cores.
    memory
        Bytes of each; None: what there is, shared alike.
    taken
        Bytes that other clusters of this user have.

    Raises
    ------
    GeodesError
        If they do not fit.
    """
    allowed = allowance()
    free = allowed.memory - taken
    least = memory or LEAST
    if count is not None and count < 1:
        raise GeodesError(f"A cluster of {count} workers cannot compute: give at least 1.")
    number = count or min(-(-allowed.cores // _CORES_PER_WORKER), max(free // least, 1))
    each = memory or free // number
    if each * number > free or each < LEAST:
        others = f", and your other clusters already use {format_bytes(taken)}" if taken else ""
        raise GeodesError(
            f"{number} workers of {format_bytes(max(each, LEAST))} do not fit: Dask workers of this server may use "
            f"{format_bytes(allowed.memory)}"
            f"{others}; ask for fewer or smaller ones, stop another cluster (gl.clusters()), or take a larger profile."
        )
    return Workers(number, max(allowed.cores // number, 1), each)
