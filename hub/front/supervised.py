"""A proxy that is supervised separately.

It continues while the hub restarts; when it restarts itself, the hub sends it all routes again.
"""

from __future__ import annotations

from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy
from tornado.ioloop import PeriodicCallback

_EVERY = 10_000  # milliseconds


class SupervisedProxy(ConfigurableHTTPProxy):
    """JupyterHub's proxy class, with a check whether the proxy still has its route to the hub.

    The hub itself checks when it reads ``last_activity`` from the proxy (``last_activity_interval``, five minutes), and
    then queries its database for each user: done often enough to notice a restarted proxy, that took 8 ms of the hub's
    time per user.
    """

    _looks: PeriodicCallback | None = None

    async def check_routes(self, user_dict: Any, service_dict: Any, routes: Any = None) -> None:
        """Called when the hub has started; the checks begin then."""
        await super().check_routes(user_dict, service_dict, routes)
        if self._looks is None:
            self._looks = PeriodicCallback(self._look, _EVERY)
            self._looks.start()

    async def _look(self) -> None:
        try:
            routes = await self.get_all_routes()
        except Exception as error:  # it is away for longer than the hub waits: the next check may succeed
            self.log.warning("The proxy does not answer: %s", error)
            return
        if self.app.hub.routespec not in routes:
            self.log.warning("The proxy has lost its routes: the hub sends them again.")
            await self.check_routes(self.app.users, self.app._service_map, routes)
