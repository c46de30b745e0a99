"""The pages of a login with a provider: there, back, and out; what goes wrong is said in the reader's language."""

from __future__ import annotations

from typing import Any

import jwt
from jupyterhub.handlers import BaseHandler
from oauthenticator.oauth2 import OAuthCallbackHandler, OAuthLoginHandler
from tornado.httpclient import HTTPClientError
from tornado.web import HTTPError

from geodes_lab.policy.lab import Lab
from geodes_lab.policy.people import Decision, Language
from hub.login.discovery import DiscoveryError

_DOWN = {
    "en": "The login service does not answer, so nobody can log in now. Running servers continue. Try again in a few "
    "minutes; if the problem stays, tell {contact}.",
    "fr": "Le service de connexion ne répond pas : personne ne peut se connecter pour l'instant. Les serveurs en "
    "marche continuent. Réessayez dans quelques minutes ; si le problème persiste, prévenez {contact}.",
}
_FORGED = {
    "en": "The login service sent a token that does not match its keys ({reason}). You are not logged in. Tell "
    "{contact}.",
    "fr": "Le service de connexion a envoyé un jeton qui ne correspond pas à ses clés ({reason}). Vous n'êtes pas "
    "connecté. Prévenez {contact}.",
}
_STRANGE = {
    "en": "The login service is not set up as this lab expects, so nobody can log in now. Tell {contact}: the hub's "
    "log says what to change.",
    "fr": "Le service de connexion n'est pas configuré comme ce laboratoire l'attend : personne ne peut se connecter "
    "pour l'instant. Prévenez {contact} : le journal du hub dit ce qu'il faut changer.",
}
_GONE = {
    "en": "You have logged out. <a href='{home}'>Log in again</a>",
    "fr": "Vous êtes déconnecté. <a href='{home}'>Se reconnecter</a>",
}


class Login(OAuthLoginHandler):
    """The page that sends the browser to the provider."""

    async def get(self) -> None:
        """Go there, once the provider's addresses are known."""
        lab: Lab = self.authenticator.lab
        await _known(self, lab)
        super().get()


class Callback(OAuthCallbackHandler):
    """The page to which the provider returns the browser."""

    async def get(self) -> None:
        """Log in; errors are shown in the reader's language."""
        lab: Lab = self.authenticator.lab
        await _known(self, lab)  # by a hub that was started meanwhile too
        try:
            await super().get()
        except (HTTPClientError, OSError) as error:
            if isinstance(error, HTTPClientError) and 400 <= error.code < 500:
                raise HTTPError(403, "The login service refused this login: start it again.") from error
            raise HTTPError(503, _DOWN[language(self, lab)].format(contact=lab.contact)) from error
        except jwt.PyJWTError as error:
            message = _FORGED[language(self, lab)].format(reason=_plain(error), contact=lab.contact)
            raise HTTPError(403, message) from error

    async def login_user(self, data: dict[str, Any] | None = None) -> Any:
        """Log in, or raise an error with the reason."""
        user = await super().login_user(data)
        decision: Decision | None = getattr(self, "decision", None)
        if user is None and decision is not None and not decision.accepted:
            lab: Lab = self.authenticator.lab
            raise HTTPError(403, decision.sentence(lab.contact, language(self, lab)))
        return user


class LoggedOut(BaseHandler):
    """The page to which the provider returns the browser after a log-out."""

    async def get(self) -> None:
        """Confirm the log-out; the hub's own page would log in again at once."""
        lab: Lab = self.authenticator.lab
        tongue = language(self, lab)
        self.finish(
            f"<!doctype html><html lang='{tongue}'><meta charset='utf-8'><title>{lab.name}</title>"
            f"<body style='font:16px sans-serif;max-width:36em;margin:6em auto'><main><h1>{lab.name}</h1>"
            f"<p>{_GONE[tongue].format(home=self.hub.base_url)}</p></main></body></html>"
        )


async def _known(handler: BaseHandler, lab: Lab) -> None:
    """Know the provider's addresses, or say why there is no login now."""
    try:
        await handler.authenticator.discovered()
    except (HTTPClientError, OSError) as error:
        raise HTTPError(503, _DOWN[language(handler, lab)].format(contact=lab.contact)) from error
    except DiscoveryError as error:
        handler.log.error("Nobody can log in: %s", error)
        raise HTTPError(503, _STRANGE[language(handler, lab)].format(contact=lab.contact)) from error


def language(handler: BaseHandler, lab: Lab) -> Language:
    """Return French or English: the browser's preference, else the operator's."""
    for part in handler.request.headers.get("Accept-Language", "").lower().split(","):
        if part.strip()[:2] in ("en", "fr"):
            return "fr" if part.strip()[:2] == "fr" else "en"
    return lab.language


def _plain(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
