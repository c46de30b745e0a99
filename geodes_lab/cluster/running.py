"""The clusters that run: each tells of itself in a file of its user's, by which it is listed, watched and stopped.

It is for the kernel that has the cluster, other kernels of the same user, and the user's server, which shows them in a
panel. Nobody else can read or write there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path

import psutil
from dask.utils import format_bytes

from geodes_lab.errors import GeodesError
from geodes_lab.util import user_folder

EVERY = 1.0
"""Seconds after which a cluster tells of itself anew."""
_SILENT = 30.0  # seconds after which one that has not told of itself is not there, though its process is


@dataclass(frozen=True)
class Running:
    """One cluster, as it was a second ago."""

    id: str
    """A UUID."""
    place: str
    """``local``, ``gateway`` or ``slurm``."""
    name: str
    """What people call it."""
    server: str
    """The hub, and the path of the user's server there: the clusters of one share its memory."""
    pid: int
    """Of the kernel."""
    began: float
    """When the kernel did, in seconds since 1970: numbers of processes come again."""
    workers: int
    threads: int
    """Of all workers."""
    memory: int
    """Of all workers, in bytes."""
    scheduler: str
    dashboard: str
    tasks: int = 0
    """Results that are being computed."""
    held: int = 0
    """Results that the kernel holds in the workers' memory."""
    reserved: int = 0
    """Bytes that no other cluster of the same server may take; with adaptive workers more than ``memory``."""

    def is_there(self, seen: float) -> bool:
        """Whether its kernel lives, and has told of it lately (``seen``, in seconds since 1970)."""
        try:
            process = psutil.Process(self.pid)
            lives = abs(process.create_time() - self.began) < 1 and process.status() != psutil.STATUS_ZOMBIE
            return lives and time.time() - seen < _SILENT
        except psutil.Error:
            return False


def folder() -> Path:
    """The folder of this user's clusters, made if needed.

    Raises
    ------
    GeodesError
        If another user has taken its place.
    """
    return user_folder.folder("clusters")


def listed() -> list[Running]:
    """All clusters of this user on this machine, the oldest first; what was left of others is removed."""
    entries = []
    for path in folder().glob("*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            one, seen = Running(**json.loads(path.read_text())), path.stat().st_mtime
            if one.is_there(seen):
                entries.append(one)
            else:
                remove(one.id)
    return sorted(entries, key=lambda one: one.began)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep other kernels of this user from starting a cluster meanwhile."""
    with (folder() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def tell(one: Running) -> None:
    """Write what a cluster is now; whole or not at all."""
    user_folder.write(folder() / f"{one.id}.json", json.dumps(asdict(one)))


def remove(id: str) -> None:
    """Forget a cluster that is no more."""
    for suffix in (".json", ".stop", ".resize", ".resized"):
        (folder() / f"{id}{suffix}").unlink(missing_ok=True)


def stop(id: str) -> bool:
    """Ask a cluster to stop, which it does within a second or two; False if there is none of this id."""
    if not any(one.id == id for one in listed()):
        return False
    (folder() / f"{id}.stop").touch(mode=0o600)
    return True


def is_to_stop(id: str) -> bool:
    """Whether somebody has asked a cluster to stop."""
    return (folder() / f"{id}.stop").exists()


def stopped(ids: list[str], seconds: float) -> bool:
    """Ask clusters to stop, and wait until they have; False if one has not in so many seconds."""
    for id in ids:
        stop(id)
    deadline = time.monotonic() + seconds
    while any(one.id in ids for one in listed()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)  # the other kernel has no way to call us
    return True


class Clusters:
    """The clusters of this user, as a table; ``clusters().stop(name)`` stops one, ``.stop()`` all."""

    def __init__(self) -> None:
        self._all = listed()

    def __iter__(self) -> Iterator[Running]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def stop(self, name: str | None = None) -> None:
        """Stop a cluster by its name or id, or all of them; results that they hold are lost.

        Raises
        ------
        GeodesError
            If there is none of that name, or one does not stop.
        """
        wanted = [one for one in self._all if name in (None, one.name, one.id)]
        if name is not None and not wanted:
            raise GeodesError(
                f"There is no cluster {name!r}; your clusters are: {', '.join(o.name for o in self._all) or 'none'}."
            )
        if not stopped([one.id for one in wanted], 20):
            raise GeodesError("A cluster did not stop: restart its kernel.")

    def _rows(self) -> list[list[str]]:
        return [
            [
                o.name,
                o.place,
                str(o.workers),
                str(o.threads),
                format_bytes(o.memory),
                str(o.tasks),
                str(o.held),
                o.dashboard,
            ]
            for o in self._all
        ]

    def __repr__(self) -> str:
        if not self._all:
            return "You have no cluster; gl.attach() or your first computation starts one."
        return "\n".join("  ".join(row) for row in [_HEAD, *self._rows()])

    def _repr_html_(self) -> str:
        if not self._all:
            return f"<p>{self!r}</p>"
        head = "".join(f"<th scope='col'>{name}</th>" for name in _HEAD)
        body = "".join(
            "<tr>"
            + "".join(f"<td>{escape(v)}</td>" for v in row[:-1])
            + (
                f'<td><a href="{escape(row[-1])}" target="_blank">open</a></td></tr>'
                if _is_link(row[-1])
                else "<td></td></tr>"
            )
            for row in self._rows()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _is_link(address: str) -> bool:
    """Whether a page may link to it: an address of the web or a path of the lab, not a script."""
    return address.startswith(("http://", "https://", "/"))


_HEAD = ["name", "place", "workers", "threads", "memory", "computing", "held", "dashboard"]


def clusters() -> Clusters:
    """List your Dask clusters on this machine, also those of your other notebooks.

    Returns
    -------
    Clusters
        A notebook shows it as a table. ``.stop(name)`` stops a cluster.
    """
    return Clusters()


def me(place: str, name: str, id: str) -> Running:
    """Describe a cluster of this process, before its workers are counted."""
    process = psutil.Process()
    server = os.environ.get("JUPYTERHUB_API_URL", "") + os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "")
    return Running(id, place, name, server, process.pid, process.create_time(), 0, 0, 0, "", "")


def as_it_is(one: Running, workers: list[dict[str, int]], tasks: int, held: int) -> Running:
    """The same with what its scheduler says of its workers, and the results of its client."""
    return replace(
        one,
        workers=len(workers),
        threads=sum(w["nthreads"] for w in workers),
        memory=sum(int(w["memory_limit"] or 0) for w in workers),
        tasks=tasks,
        held=held,
    )
