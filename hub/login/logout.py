"""A log-out that also invalidates copied cookies.

JupyterHub only removes the cookie from the browser: a copy would stay valid.
"""

from __future__ import annotations

from jupyterhub.handlers.login import LogoutHandler
from jupyterhub.orm import new_token
from oauthenticator.oauth2 import OAuthLogoutHandler


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
