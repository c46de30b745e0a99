"""The lab's client: distributed's own, whose workers know the kernel's settings, and whose losses are explained."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import dask
from dask.core import flatten
from distributed import Client
from distributed.client import FutureCancelledError, FuturesCancelledError
from distributed.core import clean_exception
from distributed.scheduler import KilledWorker

from geodes_lab.cluster import interruption, progress_bar, worker_failures
from geodes_lab.cluster.forwarding.credentials import Borrower
from geodes_lab.cluster.forwarding.software import SoftwareForwarding
from geodes_lab.errors import GeodesError

_LOST = "scheduler-connection-lost"  # distributed's own word
_REMEMBERED = 100  # tasks that were given up


class LabClient(Client):
    """A `distributed.Client` of a cluster of the lab.

    Parameters
    ----------
    cluster
        The cluster.
    place
        ``local``, ``gateway`` or ``slurm``.
    """

    def __init__(self, cluster: Any, place: str, **said: Any) -> None:
        self._place = place
        self._given_up: OrderedDict[str, str] = OrderedDict()
        self._told: Any = None
        self.software = SoftwareForwarding(self) if place == "gateway" else None
        """What brings the person's own packages to workers that do not see the home."""
        self.ended_for = ""
        """Why the cluster was given up, as a sentence."""
        super().__init__(cluster, **said)
        self.loop.add_callback(interruption.quieten)

    def tell_settings(self) -> None:
        """Let the workers, and those that come, have the settings of the kernel as they are now.

        A request if they have changed.
        """
        now = dask.config.config.get("geodes_lab", {})
        if now != self._told:
            self._told = copy.deepcopy(now)
            self.register_plugin(Borrower(self._told))

    def _graph_to_futures(self, *arguments: Any, **said: Any) -> Any:
        # Whatever is computed comes through here: compute, persist, get, submit, map.
        if not self.asynchronous:
            self.tell_settings()
            if self.software is not None:
                self.software.send()
        return super()._graph_to_futures(*arguments, **said)

    def get(self, dsk: Mapping[Hashable, Any], keys: Sequence[Any] | Hashable, *arguments: Any, **said: Any) -> Any:
        """Compute, as distributed's own; interrupted, the computation ends on the cluster too."""
        try:
            return super().get(dsk, keys, *arguments, **said)
        except KeyboardInterrupt:
            self.loop.add_callback(interruption.clear, self, list(flatten([keys])))
            raise

    def gather(
        self, futures: Any, errors: str = "raise", direct: bool | None = None, asynchronous: bool | None = None
    ) -> Any:
        """Gather results, with a bar if it takes a while; as distributed's own else."""
        if self.asynchronous or asynchronous:
            return super().gather(futures, errors, direct, asynchronous)
        try:
            with progress_bar.shown(self, futures):
                return super().gather(futures, errors, direct, asynchronous)
        except (FutureCancelledError, FuturesCancelledError) as error:
            if self.ended_for:
                raise GeodesError(self.ended_for) from None
            if _LOST not in f"{error} {getattr(error, 'reason', '')}":
                raise  # the user has cancelled it
        raise GeodesError(
            "The scheduler of your cluster has stopped, and the results on its workers are lost. Compute again: this "
            "starts another cluster."
        )

    def witness(self, event: tuple[float, dict[str, Any]]) -> None:
        """Tell the person of a worker that died: called with what a `deaths.Witness` told."""
        message = event[1]
        text = worker_failures.sentence(message, self._place)
        if message["given_up"]:
            self._given_up[message["given_up"]] = text
            while len(self._given_up) > _REMEMBERED:
                self._given_up.popitem(last=False)
        else:
            progress_bar.say(text)

    def _handle_task_erred(self, key: Any = None, exception: Any = None, traceback: Any = None) -> None:
        _, error, _ = clean_exception(exception, traceback)
        if isinstance(error, KilledWorker):
            text = self._given_up.get(str(error.task), f"{error}")
            explained = GeodesError(text)
            explained.__cause__ = error
            exception, traceback = explained, None
        super()._handle_task_erred(key, exception, traceback)
