"""A log-out ends what a copied cookie could do.

JupyterHub takes the cookie from the browser, and leaves it good for whoever has a copy.
"""

from __future__ import annotations

from jupyterhub.handlers.login import LogoutHandler
from jupyterhub.orm import new_token
from oauthenticator.oauth2 import OAuthLogoutHandler


class Ending(LogoutHandler):
    """Logs the person out of this browser, and of every other that came in by a cookie of the same."""

    async def handle_logout(self) -> None:
        """Renew what the hub's cookies name the person by: all that were given are good for nobody."""
        await super().handle_logout()
        user = self.current_user
        if user is not None and hasattr(user, "orm_user"):
            user.orm_user.cookie_id = new_token()
            self.db.commit()


class EndingAtProvider(Ending, OAuthLogoutHandler):
    """The same, and then the provider's own log-out."""
