"""The lab's face on the hub's own pages: the head of the lab's other pages, operators' messages, French.

The templates in ``hub/templates`` extend those of JupyterHub; their words are translated phrase by phrase.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup

from geodes_lab.policy.lab import Lab
from geodes_lab.policy.people import rights
from hub.front.messages import Board
from hub.services import pages
from hub.services.pages import Language

_FRENCH = {
    "Stop My Server": "Arrêter mon serveur",
    "Start My Server": "Démarrer mon serveur",
    "My Server": "Ouvrir mon serveur",
    "JupyterHub home page": "Mon serveur",
    "Server Options": "Choix du serveur",
    "Your server is starting up.": "Votre serveur démarre.",
    "You will be redirected automatically when it's ready for you.": "Vous y serez conduit·e dès qu'il sera prêt.",
    "Event log": "Journal",
    "Stop Server": "Arrêter le serveur",
    "Your server is stopping.": "Votre serveur s'arrête.",
    "You will be able to start it again once it has finished stopping.": "Vous pourrez le redémarrer quand il sera "
    "arrêté.",
    "refresh": "Actualiser",
    "Server not running": "Le serveur n'est pas en marche",
    "Spawn failed": "Le serveur n'a pas démarré",
    "Your server is not running.": "Votre serveur n'est pas en marche.",
    "Would you like to start it?": "Voulez-vous le démarrer ?",
    "The latest attempt to start your server has failed.": "Le dernier démarrage de votre serveur a échoué.",
    "Would you like to retry starting it?": "Voulez-vous réessayer ?",
    "Launch Server": "Démarrer le serveur",
    "Relaunch Server": "Redémarrer le serveur",
    "Successfully logged out.": "Vous êtes déconnecté·e.",
    "Start": "Démarrer",
}
_NAMES: dict[Language, dict[str, str]] = {
    "en": {"logout": "Log out", "login": "Log in", "theme": "Light or dark", "by": "Message from"},
    "fr": {"logout": "Se déconnecter", "login": "Se connecter", "theme": "Clair ou sombre", "by": "Message de"},
}


class Face:
    """What the templates need, for one person.

    Parameters
    ----------
    lab, board
        The operator's file, and the messages of operators.
    user
        The person of the hub who reads the page; None: nobody has logged in.
    """

    def __init__(self, lab: Lab, board: Board, user: Any) -> None:
        self._lab = lab
        self._user = user
        self.name = lab.name
        self.mark = Markup(pages.MARK)
        self.messages = board.to(user.name) if user is not None else []

    @property
    def style(self) -> Markup:
        """The style sheet of the head."""
        return Markup(_style())

    def language(self, static_url: Callable[..., str]) -> Language:
        """Return the language of the reader.

        Parameters
        ----------
        static_url
            The function of JupyterHub's templates: through its handler the request is known, which templates do not
            get otherwise.
        """
        handler = getattr(static_url, "__self__", None)
        if handler is None:
            return self._lab.language
        wish = handler.get_query_argument("lang", "")
        if wish in ("en", "fr"):
            shared = urlsplit(self._lab.address).hostname if self._lab.apart else None
            handler.set_cookie(
                pages.COOKIE, wish, domain=shared, path=handler.base_url, expires_days=365, samesite="lax"
            )
        wishes = [wish, handler.get_cookie(pages.COOKIE, "") or ""]
        return pages.chosen([*wishes, *handler.request.headers.get("Accept-Language", "").split(",")], self._lab)

    def names(self, tongue: Language) -> dict[str, str]:
        """Return the words of the head."""
        return {**pages.NAMES[tongue], **_NAMES[tongue]}

    def links(self) -> list[tuple[str, str, str]]:
        """Return the menu: key of the name, path, address."""
        if self._user is None:
            return pages.links(self._lab, operator=False, known=False)[:1]
        groups = {group.name for group in self._user.groups}
        return pages.links(self._lab, rights(groups, self._lab).admin)

    def said(self, text: Markup, tongue: Language) -> Markup:
        """Return a part of a page of JupyterHub's in the reader's language."""
        return Markup(french(str(text))) if tongue == "fr" else text


def french(page: str) -> str:
    """Translate the phrases of JupyterHub's templates in a part of a page."""
    return _phrases().sub(lambda match: match[1] + _FRENCH[" ".join(match[2].split())], page)


@cache
def _phrases() -> re.Pattern[str]:
    # A single word only where it is all that a tag holds: otherwise it may be a person's.
    several = sorted(_FRENCH, key=len, reverse=True)
    texts = [r"\s+".join(map(re.escape, p.split())) + (r"(?=[<\s])" if " " in p else r"(?=\s*<)") for p in several]
    return re.compile(rf"(>\s*|(?<=\.)\s+)({'|'.join(texts)})")


@cache
def _style() -> str:
    return pages.style("face.css")
