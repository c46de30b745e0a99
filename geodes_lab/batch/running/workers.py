"""Who computes units: threads of the runner, or the workers of the person's own Dask cluster."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from geodes_lab.batch.request import Result
from geodes_lab.batch.running.computing import Call, compute
from geodes_lab.errors import GeodesError


class Computation(Protocol):
    """A unit that is being computed."""

    def done(self, seconds: float) -> bool:
        """Wait for some seconds; whether it has ended."""

    def result(self) -> Result:
        """Return its result, or raise its error."""

    def cancel(self) -> None:
        """End it, or at least forget it."""


class Workers(Protocol):
    """Who computes."""

    @property
    def slots(self) -> int:
        """How many units they compute at once."""

    @property
    def threads(self) -> int:
        """Threads for a unit that is alone on its worker."""

    def submit(self, call: Call) -> Computation:
        """Begin to compute a unit."""

    def close(self) -> None:
        """Give back what they use."""


class Here:
    """Threads of this process: no cluster is needed, and none starts."""

    def __init__(self, slots: int = 2) -> None:
        self.slots, self.threads = slots, 1
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="unit")

    def submit(self, call: Call) -> Computation:
        """Begin to compute a unit."""
        return _Thread(self._pool.submit(compute, call))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Thread:
    def __init__(self, future: Future[Result]) -> None:
        self._future = future

    def done(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            self._future.exception(seconds)
        return self._future.done()

    def result(self) -> Result:
        return self._future.result()

    def cancel(self) -> None:
        self._future.cancel()


class OnCluster:
    """Workers of a Dask cluster, wherever it is; each unit is one task.

    Parameters
    ----------
    client
        Of the cluster; None: the person's own, by `geodes_lab.attach`, as the settings say: in this server, on a
        gateway, in SLURM. If it is lost, another one is started for the next unit.
    slots
        Units at once; None: as many as the workers have threads, and one more, so that no worker waits.
    """

    def __init__(self, client: Any = None, slots: int | None = None) -> None:
        # Here, and not at their first use: two units would import them in two threads, and distributed imports itself
        # in circles, which Python then takes for a deadlock.
        import distributed

        from geodes_lab import cluster

        self._given, self._slots = client, slots
        self._lock, self._cluster, self._lost = threading.Lock(), cluster, distributed.CancelledError

    @property
    def _client(self) -> Any:
        if self._given is not None:
            return self._given
        with self._lock:
            return self._cluster.attach()

    @property
    def slots(self) -> int:
        """How many units they compute at once."""
        if self._slots is None:
            self._client  # noqa: B018  (the cluster of which the workers are)
            known = self._cluster.workers()
            self._slots = known.count * known.threads + 1
        return self._slots

    @property
    def threads(self) -> int:
        """Threads for a unit that is alone on its worker."""
        return self._cluster.workers().threads

    def submit(self, call: Call) -> Computation:
        """Begin to compute a unit."""
        # Not pure: a unit that is computed again must not get the answer of the first time.
        return _Task(self._client.submit(compute, call, pure=False), self._lost)

    def close(self) -> None:
        """Nothing: the cluster ends with this process, or belongs to somebody else."""


class _Task:
    def __init__(self, future: Any, lost: type[Exception]) -> None:
        self._future, self._over, self._lost = future, threading.Event(), lost
        future.add_done_callback(lambda _: self._over.set())

    def done(self, seconds: float) -> bool:
        return self._over.wait(seconds) or self._future.done()

    def result(self) -> Result:
        try:
            made: Result = self._future.result()
        except self._lost as error:
            raise GeodesError("The cluster was lost while the unit was computed.") from error
        finally:
            self._future.release()
        return made

    def cancel(self) -> None:
        self._future.cancel(force=True)
