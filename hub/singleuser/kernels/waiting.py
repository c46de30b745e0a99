"""One kernel of the lab waits in the person's server, and becomes that of the first notebook.

It is started while the browser still loads JupyterLab, and has imported what notebooks need when the first one is
opened (``geodes_lab/environments/waiting.py``). Any other kernel, one that is restarted, and the second one start as
they always do. ``GEODES_LAB_WAITING=no`` in the environment of the server switches it off.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_server.services.kernels.kernelmanager import ServerKernelManager

from geodes_lab.environments.waiting import ARGUMENT, SECONDS

_SETTING = "GEODES_LAB_WAITING"
_KERNEL = Path(__file__).resolve().parents[3] / "kernels" / "geodes" / "kernel.py"
# What may differ from the environment of the server's start: the notebook's name, and what jupyterlab-git sets late.
_MAY_DIFFER = {"JPY_SESSION_NAME", "GIT_PYTHON_REFRESH"}
_MARGIN = 5  # seconds before it ends by itself in which it is no longer taken
_LEAST = 2 * 2**30  # bytes of a server that has room for one


class Waiting:
    """The kernel that waits."""

    def __init__(self) -> None:
        # ipykernel looks for its parent as soon as it is imported.
        self._environment = {**os.environ, "JPY_PARENT_PID": str(os.getpid())}
        self._until = time.monotonic() + SECONDS - _MARGIN
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            [sys.executable, str(_KERNEL), ARGUMENT],
            env=self._environment,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def take(self, command: list[str], environment: dict[str, str], folder: str) -> subprocess.Popen[bytes] | None:
        """Make it the kernel that this command would start; None if it cannot be, or is not there.

        It is there no more afterwards.
        """
        process, self._process = self._process, None
        if process is None or process.stdin is None or process.poll() is not None:
            return None
        environment = {**environment, "JPY_PARENT_PID": str(os.getpid())}  # as jupyter_client adds it
        names = {*environment, *self._environment}
        changed = {n: environment.get(n) for n in names if environment.get(n) != self._environment.get(n)}
        start = {"arguments": command[1:], "environment": changed, "folder": folder}
        fits = (
            time.monotonic() < self._until
            and command[0] == sys.executable
            and Path(command[1]).resolve() == _KERNEL
            and set(changed) <= _MAY_DIFFER
        )
        try:
            with process.stdin as pipe:
                if fits:
                    pipe.write(json.dumps(start).encode())
        except BrokenPipeError:
            fits = False
        if not fits:  # it ends, since nothing was written
            process.wait()
            return None
        return process


class Manager(ServerKernelManager):
    """Jupyter's own, which takes the kernel that waits for one of the lab's that is to be started."""

    waiting: Waiting | None = None

    async def _async_launch_kernel(self, kernel_cmd: list[str], **launch: Any) -> None:
        provisioner = self.provisioner
        if self.kernel_name == "geodes" and isinstance(provisioner, LocalProvisioner):
            folder = launch.get("cwd") or str(Path.cwd())
            waiting = type(self).waiting
            taken = waiting.take(kernel_cmd, launch.get("env") or dict(os.environ), folder) if waiting else None
            if taken is not None:
                # As LocalProvisioner.launch_kernel does after it has started a process, which leads its own group.
                provisioner.process, provisioner.pid, provisioner.pgid = taken, taken.pid, taken.pid
                provisioner.cwd = folder
                self._reconcile_connection_info(provisioner.connection_info)
                return
        await super()._async_launch_kernel(kernel_cmd, **launch)


def begin(configuration: Any) -> None:
    """Start the kernel that waits, if this server is to have one, and configure the server to use it."""
    limit = os.environ.get("MEM_LIMIT", "")
    is_small = limit.isdigit() and int(limit) < _LEAST
    if os.environ.get(_SETTING) == "no" or is_small or os.environ.get("GEODES_LAB_RESCUE"):
        return
    Manager.waiting = Waiting()
    configuration.MappingKernelManager.kernel_manager_class = "hub.singleuser.kernels.waiting.Manager"
