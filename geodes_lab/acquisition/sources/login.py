"""Access tokens of an account, and requests that need one."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx

from geodes_lab.acquisition.settings.parts import Login
from geodes_lab.credentials import origin, tls
from geodes_lab.errors import GeodesError

_TIMEOUT = httpx.Timeout(60.0)
_EARLY = 60.0  # seconds before its end at which a token is renewed
_LARGEST = 2**25  # bytes of an answer


class Tokens:
    """The access token of an account, renewed before it ends.

    Parameters
    ----------
    name
        The source's name in error messages.
    address
        Where user and password are exchanged for a token: the only server that gets them.
    login
        Where user and password are.
    """

    def __init__(self, name: str, address: str, login: Login) -> None:
        self._name, self._address, self._login = name, address, login
        self._lock, self._token, self._end = threading.Lock(), "", 0.0

    def current(self) -> str:
        """Return a token that is valid now.

        Raises
        ------
        GeodesError
            If the account gets none.
        """
        with self._lock:
            if time.monotonic() > self._end - _EARLY:
                self._token, seconds = self._new()
                self._end = time.monotonic() + max(seconds, _EARLY + 1)
            return self._token

    def ask(self, method: str, address: str, query: Mapping[str, str]) -> Any:
        """Send a request with the token, and return the JSON of its answer; no redirect is followed.

        Raises
        ------
        GeodesError
            If it is refused, or there is no answer.
        """
        origin.guard(address, f"The access token of {self._name}")
        headers = {"Authorization": f"Bearer {self.current()}"}
        answer = self._send(method, address, params=dict(query), headers=headers)
        if answer.status_code == 401:
            with self._lock:
                self._end = 0.0
        if not answer.is_success:
            raise GeodesError(
                f"{self._name} refuses {method} {address} (HTTP {answer.status_code}): check the account."
            )
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise GeodesError(f"{self._name} did not answer {method} {address} with JSON: check its address.") from None

    def _new(self) -> tuple[str, float]:
        origin.guard(self._address, f"The login of {self._name}")
        user = self._login.user.read(f"The user of sources.{self._name}.login")["value"]
        password = self._login.password.read(f"The password of sources.{self._name}.login")["value"]
        form = {"client_id": "cdse-public", "grant_type": "password", "username": user, "password": password}
        answer = self._send("POST", self._address, data=form)
        try:
            document = answer.json() if answer.is_success else {}
            token, seconds = document["access_token"], float(document.get("expires_in", 300))
            if not isinstance(token, str) or not token.isascii() or not token.isprintable():
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise GeodesError(
                f"The login of {self._name} got no access token (HTTP {answer.status_code}): check user and password "
                f"in sources.{self._name}.login, and that the account has no second factor."
            ) from None
        return token, seconds

    def _send(self, method: str, address: str, **content: Any) -> httpx.Response:
        try:
            with (
                httpx.Client(verify=tls.context(), timeout=_TIMEOUT, follow_redirects=False) as client,
                client.stream(method, address, **content) as answer,
            ):
                data = b""
                for part in answer.iter_bytes():
                    data += part
                    if len(data) > _LARGEST:
                        raise GeodesError(f"The answer of {address} is larger than any real one: refused.")
                headers = {k: v for k, v in answer.headers.items() if k.lower() != "content-encoding"}
                return httpx.Response(answer.status_code, headers=headers, content=data, request=answer.request)
        except httpx.HTTPError as error:
            raise GeodesError(
                f"{self._name} does not answer at {address} ({type(error).__name__}): check the network."
            ) from error
