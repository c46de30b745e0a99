"""A host name for each person and each service: content of one cannot act for a user of another.

JupyterHub creates the names (``alice.lab…``, ``home--service.lab…``) and routes each to its owner. Its own pages answer
at every one of them, where nobody is logged in and a login cannot end: so requests for a page of the hub under another
name are redirected to the hub's name, and requests for a service under the hub's name to the service's. Links without a
host name, in pages, news and bookmarks, therefore work.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.handlers import BaseHandler
from jupyterhub.utils import subdomain_hook_idna
from oauthenticator import oauth2
from tornado.web import Finish

from geodes_lab.policy.lab import Lab

_prepare, _clear = BaseHandler.prepare, BaseHandler.clear_login_cookie
_READS = ("GET", "HEAD")


def apart(c: Any, address: str) -> None:
    """Turn this on, for a hub with this public address."""
    c.JupyterHub.subdomain_host = address
    c.JupyterHub.subdomain_hook = subdomain_hook_idna  # `Lab.origin` creates the same names
    BaseHandler.prepare = _at_home
    BaseHandler.clear_login_cookie = _logged_out
    if urlsplit(address).scheme == "https" and "cookie_host_prefix_enabled" in JupyterHub.class_traits():
        # Any page below the lab's name may set a cookie for all of it, such as bob's own login in alice's browser. A
        # cookie with this name prefix cannot be set so.
        c.JupyterHub.cookie_host_prefix_enabled = True
        oauth2.STATE_COOKIE_NAME = "__Host-oauthenticator-state"


class ToService(BaseHandler):
    """``/services/NAME/…`` at the hub's own name, which JupyterHub routes to ``/hub/services/NAME/…``.

    It redirects to the service.
    """

    def get(self, name: str, rest: str | None = None) -> None:
        lab: Lab = self.authenticator.lab
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(f"{lab.origin(name)}{self.base_url}services/{name}{rest or '/'}{query}")


async def _at_home(handler: BaseHandler) -> None:
    """Run before any page of the hub."""
    request, public = handler.request, handler.settings.get("public_url")
    ours = request.method in _READS and public and request.path.startswith(handler.hub.base_url)
    is_api = request.path.startswith(f"{handler.hub.base_url}api/")
    if ours and not is_api and request.host.partition(":")[0].lower().endswith(f".{public.hostname}"):
        handler.redirect(f"{public.scheme}://{public.netloc}{request.uri}")
        raise Finish
    await _prepare(handler)


def _logged_out(handler: BaseHandler, name: str | None = None) -> None:
    """End the sessions of the person's browsers with servers and services.

    The hub ends only the session that a cookie names, and that cookie is shared by all of the lab's host names, so
    another page may have set it.
    """
    user = handler.get_current_user_cookie()
    if user is not None:
        for token in handler.db.query(orm.APIToken).filter(
            orm.APIToken.user_id == user.id, orm.APIToken.session_id > ""
        ):
            handler.db.delete(token)
        handler.db.commit()
    _clear(handler, name)
