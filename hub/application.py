"""JupyterHub whose services start when they are asked, and stop side by side: ``python -m hub.application``.

JupyterHub starts the next service when the one before answers, and stops the next when the one before has ended: with
nine services a start took one core the time of nine, and a stop ten seconds. The first minute needs two of them.
``jupyterhub -f hub/jupyterhub_config.py`` starts the same hub, one service after the other. ``make lab`` runs this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from typing import Any

import psutil
from jupyterhub.app import JupyterHub

from hub.installation import READY
from hub.services import confined

_LISTENS = 60.0  # seconds in which a service holds its port, on a busy machine too


class LabHub(JupyterHub):
    """JupyterHub whose services start and stop at once, and that tells its launcher when it is ready."""

    _starting: dict[str, asyncio.Task[bool]] | None = None

    async def start_service(self, service_name: str, service: Any, ssl_context: Any = None) -> bool:
        """Start all services at the first call; wait for this one."""
        if self._starting is None:
            start = super().start_service
            self._starting = {
                name: asyncio.create_task(
                    self._listens(one) if confined.is_when_asked(one.command) else start(name, one, ssl_context)
                )
                for name, one in self._service_map.items()
            }
        return await self._starting[service_name]

    async def _listens(self, service: Any) -> bool:
        """Start a service that starts when it is asked; wait until its port is held, and ask it nothing."""
        await service.start()
        end = time.monotonic() + _LISTENS
        while (status := await service.spawner.poll()) is None and time.monotonic() < end:
            with contextlib.suppress(psutil.Error):
                held = psutil.Process(service.spawner.proc.pid).net_connections("tcp")
                if any(one.status == psutil.CONN_LISTEN for one in held):
                    return True
            await asyncio.sleep(0.02)
        what = f"does not listen after {_LISTENS:g} s" if status is None else f"exited with status {status}"
        self.log.critical("Service %s %s", service.name, what)
        return False

    async def cleanup(self) -> None:
        """Stop all services at once, then whatever else JupyterHub stops: it would await the end of each in turn."""
        managed = [service for service in self._service_map.values() if service.managed]
        for ended in await asyncio.gather(*(service.stop() for service in managed), return_exceptions=True):
            if isinstance(ended, Exception):
                self.log.error("Failed to stop a service: %s", ended)
        await super().cleanup()

    async def start(self) -> None:
        """Start the hub, and tell the launcher when people can use it."""
        await super().start()
        gc.freeze()  # what there is now stays
        gc.enable()
        if held := os.environ.pop(READY, None):
            os.write(int(held), b"\n")
            os.close(int(held))


if __name__ == "__main__":
    gc.disable()  # until it has started: looking through all that imports make takes a tenth of the start
    LabHub.launch_instance()
