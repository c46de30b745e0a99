"""Servers on a port that the hub has taken for them: nothing else takes it, and the hub sees at once when they answer.

A request that comes before the server answers waits in the queue of the port. To a server that chooses its port itself
the hub comes back at random moments, of which the next one may be seconds away.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from jupyterhub.spawner import LocalProcessSpawner, SimpleLocalProcessSpawner

_QUEUE = 128  # connections


class HeldPort(LocalProcessSpawner):
    """LocalProcessSpawner that opens the socket of its server (``hub/singleuser/listening.py``)."""

    _held: socket.socket | None = None

    async def start(self) -> tuple[str, int]:
        """Start the server on a port that the hub has taken, and keeps while people are led there.

        No other account can stand in for it.
        """
        self._release()
        self._held = socket.socket()
        self._held.bind(("127.0.0.1", 0))
        self._held.listen(_QUEUE)
        self.port = self._held.getsockname()[1]
        self.popen_kwargs: dict[str, Any] = {**self.popen_kwargs, "pass_fds": (self._held.fileno(),)}
        address: tuple[str, int] = await super().start()
        return address

    def get_env(self) -> dict[str, str]:
        """The socket, beside the rest."""
        held = {"GEODES_LAB_LISTEN": str(self._held.fileno())} if self._held else {}
        return {**super().get_env(), **held}

    def clear_state(self) -> None:
        """Called when the server has stopped, and nobody is led there any longer."""
        super().clear_state()
        self._release()

    def _release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


class OwnServer(HeldPort, SimpleLocalProcessSpawner):
    """The server of the only person of a lab, as the hub's own account; its port is given back when its process ends.

    So a server that fails is missed at once, by those who wait in the queue too.
    """

    async def start(self) -> tuple[str, int]:
        """See `HeldPort`."""
        address, held = await super().start(), self._held
        try:
            ends = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not Linux, or one that does not tell: the hub's own look finds it later
            return address
        loop = asyncio.get_running_loop()

        def release() -> None:
            loop.remove_reader(ends)
            os.close(ends)
            if self._held is held:
                self._release()

        loop.add_reader(ends, release)
        return address
