"""JupyterHub whose services start and stop side by side: ``python -m hub.application``, which ``make lab`` runs.

JupyterHub starts the next service when the one before answers, and stops the next when the one before has ended: with
nine services a start took one core the time of nine, and a stop ten seconds.
``jupyterhub -f hub/jupyterhub_config.py`` starts the same hub, one service after the other.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from jupyterhub.app import JupyterHub

from hub.installation import READY


class LabHub(JupyterHub):
    """JupyterHub whose services start and stop at once, and that tells its launcher when it is ready."""

    _starting: dict[str, asyncio.Task[bool]] | None = None

    async def start_service(self, service_name: str, service: Any, ssl_context: Any = None) -> bool:
        """Start all services at the first call; wait for this one."""
        if self._starting is None:
            start = super().start_service
            self._starting = {
                name: asyncio.create_task(start(name, one, ssl_context)) for name, one in self._service_map.items()
            }
        return await self._starting[service_name]

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
        if held := os.environ.pop(READY, None):
            os.write(int(held), b"\n")
            os.close(int(held))


if __name__ == "__main__":
    LabHub.launch_instance()
