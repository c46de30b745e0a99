"""What is left of a computation that was interrupted: its tasks are taken back, and its workers are free in seconds.

Distributed lets go of the results. Two things stay: a graph that the scheduler was still building comes to life when it
is built, wanted by nobody; and a step that a worker is at runs to its end, since no thread can be stopped from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from typing import Any

from geodes_lab.cluster import progress_bar

_PATIENCE = 5.0  # seconds in which a step may come to its end by itself
_ANSWER = 30.0  # seconds in which workers answer
_AGAIN = 0.2  # seconds between two looks whether graphs are built


def quieten() -> None:
    """Say nothing of distributed's own waiting, which fails unheard in the loop when a person no longer waits."""
    from distributed.client import AllExit

    def heard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), AllExit):
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(heard)


async def clear(client: Any, keys: Collection[Any]) -> None:
    """Take back what was interrupted; runs in the client's loop.

    Parameters
    ----------
    client
        Whose computation it was.
    keys
        Of its results. Those that the client asks for again meanwhile are left alone.
    """
    with contextlib.suppress(OSError, asyncio.CancelledError):  # the cluster has ended, or a worker does not answer
        while await client._run_on_scheduler(_graphs_in_building):
            await asyncio.sleep(_AGAIN)
        _release(client, keys)
        await asyncio.sleep(_PATIENCE)
        working = await asyncio.wait_for(client._run(_interrupted_steps, on_error="ignore"), _ANSWER)
        busy = [address for address, steps in working.items() if steps]
        if busy:
            await _free(client, busy)


def _release(client: Any, keys: Collection[Any]) -> None:
    """Tell the scheduler once more that nobody wants these: it forgets what it was told before it had the graph."""
    unwanted = [key for key in keys if key not in client.futures]
    client._send_to_scheduler({"op": "client-releases-keys", "keys": unwanted, "client": client.id})


async def _free(client: Any, busy: list[str]) -> None:
    """Start anew the workers that are still at the interrupted steps, but none that holds what somebody keeps."""
    holding = await client._run_on_scheduler(_with_results, addresses=busy)
    idle = [address for address in busy if address not in holding]
    if idle:
        try:
            await client._restart_workers(idle, _ANSWER, raise_for_error=False)
        except ValueError:  # it has no nanny
            holding, idle = busy, []
    if idle:
        progress_bar.say(f"{_workers(idle)} still busy with the interrupted computation, and had to restart.")
    if holding:
        progress_bar.say(
            f"{_workers(holding)} still busy with the interrupted computation, until this step ends. "
            "gl.clusters().stop() stops it now, and the results on the cluster are lost."
        )


def _workers(addresses: Collection[str]) -> str:
    return "A worker was" if len(addresses) == 1 else f"{len(addresses)} workers were"


def _graphs_in_building(dask_scheduler: Any) -> int:
    count: int = dask_scheduler._active_graph_updates
    return count


def _interrupted_steps(dask_worker: Any) -> int:
    """How many threads of a worker are at steps that nobody wants any more."""
    return sum(task.state == "cancelled" and task.previous == "executing" for task in dask_worker.state.tasks.values())


def _with_results(addresses: Collection[str], dask_scheduler: Any) -> list[str]:
    """Which workers hold results that a client keeps."""
    known = {address: dask_scheduler.workers.get(address) for address in addresses}
    return [a for a, worker in known.items() if worker is not None and any(t.who_wants for t in worker.has_what)]
