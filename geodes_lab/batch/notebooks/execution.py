"""The cells of a notebook are run from top to bottom, in a kernel of its own that ends with them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbclient.util import ensure_async
from nbformat import NotebookNode

from geodes_lab.batch.notebooks.document import Notebook, runs, write
from geodes_lab.batch.request import Impossible
from geodes_lab.errors import GeodesError, shown
from geodes_lab.util import user_folder

_START = 120  # seconds in which a kernel answers
_LOOK = 0.3  # seconds between two looks whether it is to stop
_MOST_OUTPUT = 100_000_000  # characters that the cells print and show, in all


class CellFailed(Impossible):
    """A cell raised an error; the notebook has the outputs so far, and the error."""


class KernelLost(GeodesError):
    """The kernel did not start, or died: for want of memory, or because somebody ended it."""


class Stopped(Exception):
    """It was stopped from outside."""


def _nothing(done: int, of: int) -> None:
    pass


def _never() -> bool:
    return False


def chosen_kernel(notebook: Notebook, asked: str = "") -> str:
    """Return the name of the kernel that runs a notebook.

    Raises
    ------
    Impossible
        If it is not installed here.
    """
    name = asked or notebook.kernel or "python3"
    there = KernelSpecManager().find_kernel_specs()
    if name not in there:
        raise Impossible(
            f"The kernel {name!r} of {notebook.name} is not installed here: choose one of {', '.join(sorted(there))} "
            "with kernel=, or --kernel."
        )
    return name


def run(
    notebook: Notebook,
    kernel: str,
    folder: Path,
    target: Path,
    *,
    told: Callable[[int, int], None] = _nothing,
    stopped: Callable[[], bool] = _never,
) -> None:
    """Run a notebook, and write it with its outputs into a file that appears whole.

    Parameters
    ----------
    notebook
        With its parameters; its document gets the outputs.
    kernel
        The name of a kernel that is installed here; it has the rights and the environment of this process.
    folder
        In which the kernel works.
    target
        The file. If a cell fails, the outputs so far are in another one instead, whose name ends in ``.failed.ipynb``.
    told
        Is told after each cell how many cells are done, of how many; it must not wait for anything.
    stopped
        Asked now and then whether to stop: the kernel and what it has started are then killed.

    Raises
    ------
    CellFailed
        One sentence: which cell, and which error.
    KernelLost
        If the kernel does not start, or dies.
    Stopped
        If it was stopped. Nothing is written then.
    """
    failed = target.with_name(f"{target.stem}.failed{target.suffix}")
    try:
        asyncio.run(_Run(notebook, kernel, folder, told, stopped).all())
    except (CellFailed, KernelLost) as error:
        write(notebook, failed)
        raise type(error)(f"{str(error).rstrip('.')}. The outputs so far are in {failed}.") from None
    if stopped():
        raise Stopped
    write(notebook, target)
    failed.unlink(missing_ok=True)


class _Client(NotebookClient):
    """nbclient's own, which stops where the outputs are without end: whoever runs notebooks has other work too."""

    written = 0
    flood: Callable[[], Any] = staticmethod(lambda: None)

    def output(self, outs: list[NotebookNode], msg: dict[str, Any], display_id: str | None, cell_index: int) -> Any:
        """Add an output to a cell."""
        content = msg["content"]
        parts = [content.get("text", ""), *(content.get("data") or {}).values(), *(content.get("traceback") or ())]
        self.written += sum(len(p) if isinstance(p, str) else len(str(p)) for p in parts)
        if self.written > _MOST_OUTPUT:
            self.flood()
            return None
        return super().output(outs, msg, display_id, cell_index)


class _Run:
    def __init__(
        self,
        notebook: Notebook,
        kernel: str,
        folder: Path,
        told: Callable[[int, int], None],
        stopped: Callable[[], bool],
    ) -> None:
        self._notebook, self._folder, self._told, self._stopped = notebook, folder, told, stopped
        # Sockets in a private folder: another account of the machine could connect to ports on loopback.
        file = user_folder.folder("kernels") / f"run-{secrets.token_hex(4)}.json"
        self._manager = AsyncKernelManager(kernel_name=kernel, transport="ipc", connection_file=str(file))
        self._client = _Client(notebook.node, km=self._manager, startup_timeout=_START, timeout=None)
        self._is_stopped = self._is_flooded = self._is_whole = False
        self._at = 0

    async def all(self) -> None:
        cells = asyncio.ensure_future(self._cells())
        watch = asyncio.ensure_future(self._watch(cells))

        def flood() -> None:
            self._is_flooded = True
            cells.cancel()

        self._client.flood = flood
        try:
            await cells
        except (asyncio.CancelledError, DeadKernelError) as error:
            # nbclient takes a cancelled cell for one whose kernel is dead.
            if self._is_flooded:
                raise CellFailed(
                    f"{self._where()} shows more than {_MOST_OUTPUT} characters: write them to a file."
                ) from None
            if self._is_stopped:
                raise Stopped from None
            this = asyncio.current_task()
            if this is not None and this.cancelling():  # by Ctrl-C
                raise asyncio.CancelledError from None
            raise KernelLost(
                f"{self._where()}: the kernel died. Perhaps it had too little memory, or the cell ended it."
            ) from error
        except CellExecutionError as error:
            line = (str(error.evalue).strip().splitlines() or [""])[0]
            raised = f"{error.ename}: {line}" if line else str(error.ename)
            raise CellFailed(f"{self._where()} failed: {shown(raised)[:500]}") from None
        finally:
            watch.cancel()
            await self._end()

    async def _cells(self) -> None:
        client, total = self._client, len(self._notebook.cells)
        client.reset_execution_trackers()
        try:
            await client.async_start_new_kernel(cwd=str(self._folder))
            channels = await client.async_start_new_kernel_client()
            known = await client.async_wait_for_reply(await ensure_async(channels.kernel_info()))
        except (RuntimeError, OSError, TimeoutError) as error:
            raise KernelLost(
                f"The kernel {self._manager.kernel_name!r} of {self._notebook.name} does not start ({error})."
            ) from error
        if known is not None and "language_info" in known["content"]:
            self._notebook.node.metadata["language_info"] = known["content"]["language_info"]
        self._told(0, total)
        for index, cell in enumerate(self._notebook.node.cells):
            if runs(cell):
                self._at += 1
                await client.async_execute_cell(cell, index, execution_count=client.code_cells_executed + 1)
                self._told(self._at, total)
        client.set_widgets_metadata()
        self._is_whole = True

    def _where(self) -> str:
        """Name the cell that is run, by what a person sees of it."""
        cells = self._notebook.cells
        if not 0 < self._at <= len(cells):
            return self._notebook.name
        first = next((line.strip() for line in cells[self._at - 1].source.splitlines() if line.strip()), "")
        first = first if len(first) <= 60 else f"{first[:59]}…"
        return f"Cell {self._at} of {len(cells)} ({shown(first)})"

    async def _watch(self, cells: asyncio.Future[None]) -> None:
        while not cells.done():
            if self._stopped():
                self._is_stopped = True
                cells.cancel()
                return
            await asyncio.sleep(_LOOK)

    async def _end(self) -> None:
        """End the kernel, and remove its sockets: one that is through may close what it has opened, others are killed.

        With it all of its process group dies, such as a Dask cluster on this machine.
        """
        if self._client.kc is not None:
            self._client.kc.stop_channels()
        with contextlib.suppress(RuntimeError):  # there is none
            await self._manager.shutdown_kernel(now=not self._is_whole)
        await ensure_async(self._manager.cleanup_resources())
