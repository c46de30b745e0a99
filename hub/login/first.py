"""Where people come first: the lab's front page, as who has logged in once they have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyterhub.handlers.pages import RootHandler


def first(page: str) -> Callable[[Any], str]:
    """Give the hub's ``default_url``: the front page for who comes without a login, else by way of the page's own.

    The page is a service with a session of its own: without that step it would still say "Log in" to who just has.
    """

    def url(handler: Any) -> str:
        stranger = isinstance(handler, RootHandler) and not handler.current_user
        return page if stranger else f"{page}login"

    return url
