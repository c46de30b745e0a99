"""A real kernel of the lab, as JupyterLab has one: started, asked, interrupted and restarted by jupyter_client."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from queue import Empty

import dask
import psutil
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager

from geodes_lab.cluster import running
from geodes_lab.cluster.running import Running
from tests.support.paths import TOP


class LabKernel:
    """One kernel with a server of 2 GiB and two cores, and a folder of its own for clusters.

    Parameters
    ----------
    folder
        Where its clusters tell of themselves.
    environment
        More variables of it.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self._folder = folder
        self.manager = KernelManager(
            kernel_name="geodes", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(TOP / "kernels")])
        )
        ours = {
            "DASK_GEODES_LAB__CLUSTER__FOLDER": str(folder),
            "DASK_GEODES_LAB__CLUSTER__PLACE": "local",
            "DASK_GEODES_LAB__CACHE__FOLDER": str(folder / "cache"),
            "CPU_LIMIT": "2",
            "MEM_LIMIT": str(2 * 2**30),
        }
        self.manager.start_kernel(env={**os.environ, **ours, **environment})
        self._connect()

    def _connect(self) -> None:
        self._client = self.manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=120)

    def __call__(self, code: str, timeout: float = 180) -> tuple[str, str]:
        """Run a cell; give its status, and all that a person reads below it, without colours."""
        shown: list[str] = []

        def collect(message: dict[str, object]) -> None:
            content = message["content"]
            text = content.get("text") or "\n".join(content.get("traceback", []))
            shown.append(text or content.get("data", {}).get("text/plain", ""))

        reply = self._client.execute_interactive(code, timeout=timeout, output_hook=collect)
        text = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(filter(None, shown)))
        return reply["content"]["status"], text.strip()

    def begin(self, code: str) -> Cell:
        """Run a cell beside the test, which does something meanwhile."""
        return Cell(self, code)

    @property
    def process(self) -> psutil.Process:
        """The kernel's own."""
        return psutil.Process(self.manager.provisioner.pid)

    def family(self) -> list[psutil.Process]:
        """The kernel and all that it has started."""
        return [self.process, *self.process.children(recursive=True)]

    def worker(self) -> psutil.Process | None:
        """The process of a worker; None if there is none."""
        for child in self.process.children(recursive=True):
            if "spawn_main" in " ".join(child.cmdline()):
                return child
        return None

    def clusters(self) -> list[Running]:
        """Its clusters, as its user's other notebooks and the Dask panel see them."""
        with dask.config.set({"geodes_lab.cluster.folder": str(self._folder)}):
            return running.listed()

    def interrupt(self) -> None:
        """What the stop button does."""
        self.manager.interrupt_kernel()

    def restart(self, now: bool) -> None:
        """What the button for it does (``now=False``), or a kernel that is killed.

        A cell that runs is lost: its thread still listens, so that its channels stay open.
        """
        self.manager.restart_kernel(now=now)
        self._connect()

    def end(self) -> None:
        """Stop it."""
        self._client.stop_channels()
        self.manager.shutdown_kernel(now=True)


class Cell(threading.Thread):
    """A cell that runs."""

    def __init__(self, kernel: LabKernel, code: str) -> None:
        super().__init__(daemon=True)
        self._kernel, self._code = kernel, code
        self._outcome: tuple[str, str] = ("lost", "")
        self.start()

    def run(self) -> None:
        try:
            self._outcome = self._kernel(self._code)
        except (Empty, TimeoutError) as error:  # its kernel is restarted
            self._outcome = ("lost", str(error))

    def result(self, seconds: float = 120) -> tuple[str, str]:
        """Its status, and what is read below it, once it has ended."""
        self.join(seconds)
        assert not self.is_alive(), "the cell still runs"
        return self._outcome
