"""Login with a link whose secret works once, for the person who started the lab."""

from __future__ import annotations

import hmac
import os
import pwd
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from jupyterhub.handlers import BaseHandler
from jupyterhub.utils import url_path_join
from traitlets import Unicode

from hub.login.admin import ToOperators
from hub.login.logout import Ending


def owner() -> str:
    """Return the account name of the person who started the lab."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a user number without an account
        return "me"


class OneTimeLink(Authenticator):
    """Admit a browser with the secret; then forget the secret.

    That browser stays logged in with its cookie. Others see a page that explains what to do.
    """

    user = Unicode(help="The name that the person gets: the only user of this hub.").tag(config=True)
    secret_file = Unicode(help="Where the launcher wrote the secret; removed when it has been used.").tag(config=True)
    auto_login = True

    def login_url(self, base_url: str) -> str:
        """Return where the hub sends people who are not logged in: the page that explains."""
        return url_path_join(base_url, "link")

    def get_handlers(self, app: Any) -> list[tuple[str, type[BaseHandler]]]:
        """Return the handlers of the link, of a log-out that also invalidates copied cookies, and of the admin page."""
        return [("/link", LinkHandler), ("/logout", Ending), ("/admin", ToOperators)]

    async def authenticate(self, handler: BaseHandler, data: dict[str, str]) -> str | None:
        """Compare the secret of the link with the file, in constant time."""
        path = Path(self.secret_file)
        try:
            expected = path.read_text()
        except FileNotFoundError:
            return None
        if not hmac.compare_digest(expected.encode(), str(data["secret"]).encode()):
            return None
        path.unlink()
        return self.user


class LinkHandler(BaseHandler):
    """``/hub/link?token=…``: log in, or explain why not."""

    async def get(self) -> None:
        secret = self.get_argument("token", "")  # a name that the hub omits from its log
        # Check the secret first, and always use it up: a browser that is logged in already must not leave the link
        # valid.
        user = await self.login_user({"secret": secret}) if secret else None
        user = user or self.current_user
        if user is not None:
            # Without the query, so that the secret enters no further address and no history.
            self.redirect(url_path_join(self.hub.base_url, "spawn"))
            return
        self.set_status(403)
        self.finish(
            "<!doctype html><html lang='en'><title>GEODES Lab</title><body style='font:16px "
            "sans-serif;max-width:36em;margin:6em auto'><h1>This lab belongs to one person</h1><p>It opens with the "
            "link that <code>make lab</code> printed in the terminal. A link works once; the browser that used it "
            "stays logged in. For a new link, stop the lab with Ctrl-C and start it again.</p></body></html>"
        )
