"""A host name for each person and each service: what one gives does not act for who opens it with another.

JupyterHub makes the names (``alice.lab…``, ``home--service.lab…``) and sends each to its own. Its pages answer at every
one of them, where nobody has logged in and a login cannot end: so whoever comes to a page of the hub by another name is
sent to the hub's, and whoever comes to a service by the hub's name to the service's. Links that leave the name out, in
pages, news and bookmarks, work for that reason.
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
    """Set it, for a hub of this public address."""
    c.JupyterHub.subdomain_host = address
    c.JupyterHub.subdomain_hook = subdomain_hook_idna  # `Lab.origin` makes the same names
    BaseHandler.prepare = _at_home
    BaseHandler.clear_login_cookie = _logged_out
    if urlsplit(address).scheme == "https" and "cookie_host_prefix_enabled" in JupyterHub.class_traits():
        # Any page below the lab's name may set a cookie for all of it: bob's own login, for alice's browser. Not one
        # that is called so.
        c.JupyterHub.cookie_host_prefix_enabled = True
        oauth2.STATE_COOKIE_NAME = "__Host-oauthenticator-state"


class ToService(BaseHandler):
    """``/services/NAME/…`` at the hub's own name, which JupyterHub leads to ``/hub/services/NAME/…``.

    On to where the service is.
    """

    def get(self, name: str, rest: str | None = None) -> None:
        lab: Lab = self.authenticator.lab
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(f"{lab.origin(name)}{self.base_url}services/{name}{rest or '/'}{query}")


async def _at_home(handler: BaseHandler) -> None:
    """Before any page of the hub."""
    request, public = handler.request, handler.settings.get("public_url")
    ours = request.method in _READS and public and request.path.startswith(handler.hub.base_url)
    is_api = request.path.startswith(f"{handler.hub.base_url}api/")
    if ours and not is_api and request.host.partition(":")[0].lower().endswith(f".{public.hostname}"):
        handler.redirect(f"{public.scheme}://{public.netloc}{request.uri}")
        raise Finish
    await _prepare(handler)


def _logged_out(handler: BaseHandler, name: str | None = None) -> None:
    """End what the person's browsers got for servers and services.

    The hub ends that of one session, whose name is a cookie for all of the lab's host names; a page of another may have
    planted it.
    """
    user = handler.get_current_user_cookie()
    if user is not None:
        for token in handler.db.query(orm.APIToken).filter(
            orm.APIToken.user_id == user.id, orm.APIToken.session_id > ""
        ):
            handler.db.delete(token)
        handler.db.commit()
    _clear(handler, name)
