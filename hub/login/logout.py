"""A log-out that also invalidates copied cookies.

JupyterHub only removes the cookie from the browser: a copy would stay valid.
"""

from __future__ import annotations

from jupyterhub.handlers.login import LogoutHandler
from jupyterhub.orm import new_token
from oauthenticator.oauth2 import OAuthLogoutHandler
from tornado.httpclient import HTTPClientError

from hub.login.discovery import DiscoveryError


class Ending(LogoutHandler):
    """Logs the person out of this browser, and of every other with the same cookie."""

    async def handle_logout(self) -> None:
        """Renew the identifier in the hub's cookies: all earlier cookies become invalid."""
        await super().handle_logout()
        user = self.current_user
        if user is not None and hasattr(user, "orm_user"):
            user.orm_user.cookie_id = new_token()
            self.db.commit()


class EndingAtProvider(Ending, OAuthLogoutHandler):
    """The same, followed by the provider's own log-out."""

    async def handle_logout(self) -> None:
        """Log out here in any case, and there if the provider says where."""
        await super().handle_logout()
        try:
            await self.authenticator.discovered()
        except (HTTPClientError, OSError, DiscoveryError) as error:
            self.log.warning("%s logged out here, and not at the provider (%s).", self.current_user, error)
