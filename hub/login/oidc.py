"""Login with a provider of OpenID Connect: the operator's rules decide, and give the reason in a sentence."""

from __future__ import annotations

import asyncio
import ssl
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jwt
from jupyterhub.handlers import BaseHandler
from oauthenticator.generic import GenericOAuthenticator
from tornado.httpclient import HTTPClientError
from tornado.httputil import url_concat
from tornado.web import HTTPError
from traitlets import Unicode

from geodes_lab.policy import collaboration
from geodes_lab.policy.lab import Lab, load
from geodes_lab.policy.login import Oidc as Provider
from geodes_lab.policy.people import ROBOT, Decision, decide
from hub.front.hosts import ToService
from hub.login.admin import ToOperators
from hub.login.discovery import DiscoveryError, discover, missing
from hub.login.logout import EndingAtProvider
from hub.login.pages import Callback, LoggedOut, Login

if TYPE_CHECKING:
    from jwt.types import Options

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]


class Oidc(GenericOAuthenticator):
    """Logs in the people of a provider, by the operator's rules."""

    settings_file = Unicode(help="The operator's file.").tag(config=True)
    after_logout = Unicode(help="Where the provider returns the browser after a log-out.").tag(config=True)
    login_handler = Login
    callback_handler = Callback
    logout_handler = EndingAtProvider

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._away: dict[str, float] = {}  # since when the provider has not answered about a person
        self._discovering = asyncio.Lock()
        self._is_known = False
        self._keys_url = ""
        if not missing(self._provider):
            self._learn({})

    @cached_property
    def lab(self) -> Lab:
        """The operator's settings."""
        return load(self.settings_file)

    @property
    def _provider(self) -> Provider:
        claims_found = self.lab.login.oidc
        assert claims_found is not None, "this login needs a provider in the operator's file"
        return claims_found

    @cached_property
    def _keys(self) -> jwt.PyJWKClient:
        context = ssl.create_default_context(cafile=self._provider.authority or None)
        return jwt.PyJWKClient(self._keys_url, lifespan=300, timeout=10, ssl_context=context)

    async def discovered(self) -> None:
        """Ask the provider for its addresses, if that has not succeeded yet.

        Not at the hub's start: a provider that is down would keep the hub from starting, and with it people's work.
        """
        async with self._discovering:
            if not self._is_known:
                self._learn(await discover(self._provider, self.http_request_kwargs))

    def _learn(self, found: dict[str, str]) -> None:
        oidc = self._provider
        self.authorize_url = oidc.authorize_url or found["authorize_url"]
        self.token_url = oidc.token_url or found["token_url"]
        self.userdata_url = oidc.userinfo_url or found.get("userinfo_url", "")
        self._keys_url = oidc.keys_url or found.get("keys_url", "")
        if logout := oidc.logout_url or found.get("logout_url"):
            back = {"client_id": oidc.client_id, "post_logout_redirect_uri": self.after_logout}
            self.logout_redirect_url = url_concat(logout, back)
        self._is_known = True

    def get_handlers(self, app: Any) -> list[tuple[str, type[BaseHandler]]]:
        """Return the handlers of the provider's addresses, of the log-out page, and of services with own host names."""
        apart = [(r"/services/([a-z]+)(/.*)?", ToService)] if self.lab.apart else []
        return [*super().get_handlers(app), ("/logged-out", LoggedOut), ("/admin", ToOperators), *apart]

    async def token_to_user(self, token_info: dict[str, Any]) -> dict[str, Any]:
        """Return the provider's claims about a person.

        From the source that the operator chose, verified if it is a token.
        """
        oidc = self._provider
        if oidc.claims.source == "userinfo":
            return await super().token_to_user(token_info)
        token = token_info.get(oidc.claims.source)
        if not token:
            raise HTTPError(
                500, f"The login service sent no {oidc.claims.source}: add the scope openid to the settings."
            )
        try:
            return await asyncio.get_running_loop().run_in_executor(None, self._verified, token)
        except jwt.ExpiredSignatureError:
            raise HTTPClientError(401, "the token has expired") from None  # from userinfo: new claims are requested

    def _verified(self, token: str) -> dict[str, Any]:
        oidc = self._provider
        # Keycloak's access tokens name their client in azp; aud lists the services that they are for.
        audience = oidc.audience or (oidc.client_id if oidc.claims.source == "id_token" else None)
        options: Options = {"require": ["exp", "iss"], "verify_aud": audience is not None}
        named = jwt.get_unverified_header(token).get("kid")
        problem: jwt.PyJWTError = jwt.InvalidSignatureError("none of its keys matches")
        for fresh in (False, True):  # an unknown key may be a new one, after a rotation
            for key in self._keys.get_signing_keys(refresh=fresh):
                if named and key.key_id and key.key_id != named:
                    continue
                try:
                    claims_found = jwt.decode(
                        token,
                        key,
                        algorithms=_ALGORITHMS,
                        audience=audience,
                        issuer=oidc.issuer,
                        options=options,
                        leeway=30,
                    )
                except jwt.InvalidSignatureError as error:
                    problem = error
                else:
                    return self._for_us(claims_found, audience)
        raise problem

    def _for_us(self, claims_found: dict[str, Any], audience: str | None) -> dict[str, Any]:
        if audience is None and claims_found.get("azp", self.client_id) != self.client_id:
            raise jwt.InvalidAudienceError("it is for another client")
        return claims_found

    def user_info_to_username(self, user_info: dict[str, Any]) -> str:
        """Return the name by the rules; a person without one is refused later, with the reason."""
        return self._decided(user_info).name or "?"

    def get_user_groups(self, auth_state: dict[str, Any]) -> set[str]:
        """Return the groups by the rules."""
        return set(self._decided(auth_state[self.user_auth_state_key]).groups)

    def validate_username(self, username: str) -> bool:
        """Leave it to the rules, which give the reason."""
        return bool(username)

    def check_blocked_users(self, username: str, authentication: dict[str, Any] | None = None) -> bool:
        """Leave it to the rules, which give the reason."""
        return True

    async def authenticate(
        self, handler: BaseHandler, data: dict[str, Any] | None = None, **options: Any
    ) -> dict[str, Any] | None:
        """Ask the provider; keep the decision, whose reason a refused person reads."""
        model = await super().authenticate(handler, data, **options)
        if model:
            handler.decision = self._decided(model["auth_state"][self.user_auth_state_key])
        return model

    async def check_allowed(self, username: str, auth_model: dict[str, Any] | None) -> bool:
        """Return whether the person may log in."""
        if auth_model is None:
            return True
        decision = self._decided(auth_model["auth_state"][self.user_auth_state_key])
        self.log.info("%s %s by %s", username, "accepted" if decision.accepted else "refused", decision.rule)
        return decision.accepted

    async def refresh_user(
        self, user: Any, handler: BaseHandler | None = None, **options: Any
    ) -> dict[str, Any] | bool:
        """Ask the provider again.

        A person who may no longer log in is logged out, but a short outage of the provider does not interrupt work.
        """
        if user.name == ROBOT or collaboration.is_server(user.name):  # the provider does not know it
            return True
        try:
            await self.discovered()
            model = await super().refresh_user(user, handler, **options)
        except (HTTPClientError, OSError, jwt.PyJWKClientConnectionError, DiscoveryError) as error:
            since = self._away.setdefault(user.name, time.monotonic())
            grace = self._provider.grace
            if time.monotonic() - since > grace:
                self.log.warning(
                    "The provider has not answered about %s for %s: the person must log in again.", user.name, grace
                )
                return False
            self.log.warning(
                "The provider does not answer about %s (%s): the last known groups are used.", user.name, error
            )
            return True
        except jwt.PyJWTError as error:
            self.log.warning(
                "The provider's token of %s is not valid (%s): the person must log in again.", user.name, error
            )
            return False
        self._away.pop(user.name, None)
        if isinstance(model, dict):
            decision = self._decided(model["auth_state"][self.user_auth_state_key])
            if not decision.accepted or model["name"] != user.name:
                self.log.warning("%s can no longer enter: %s.", user.name, decision.rule)
                return False
        return model

    def _decided(self, claims: dict[str, Any]) -> Decision:
        return decide(claims, self.lab)
