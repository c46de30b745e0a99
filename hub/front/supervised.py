"""A proxy that others supervise.

It goes on while the hub starts anew, and when it starts anew itself the hub tells it all ways again.
"""

from __future__ import annotations

from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy
from tornado.ioloop import PeriodicCallback

_EVERY = 10_000  # milliseconds


class SupervisedProxy(ConfigurableHTTPProxy):
    """JupyterHub's, with a look at whether the proxy still knows the way to the hub.

    The hub itself looks when it reads from the proxy what was last used (``last_activity_interval``, five minutes), and
    then asks its database about each user: done often enough for a proxy that has forgotten, that took 8 ms a user of
    all the time that the hub has.
    """

    _looks: PeriodicCallback | None = None

    async def check_routes(self, user_dict: Any, service_dict: Any, routes: Any = None) -> None:
        """Called when the hub has started; from then on there is a look."""
        await super().check_routes(user_dict, service_dict, routes)
        if self._looks is None:
            self._looks = PeriodicCallback(self._look, _EVERY)
            self._looks.start()

    async def _look(self) -> None:
        try:
            routes = await self.get_all_routes()
        except Exception as error:  # it is away for longer than the hub waits for it: the next look may find it
            self.log.warning("The proxy does not answer: %s", error)
            return
        if self.app.hub.routespec not in routes:
            self.log.warning("The proxy has forgotten its ways: it is told them again.")
            await self.check_routes(self.app.users, self.app._service_map, routes)
