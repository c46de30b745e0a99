"""A provider of OpenID Connect, over HTTP on loopback: people and their claims can be changed, keys rotated, the whole taken away."""

from __future__ import annotations

import os
import threading
from typing import Any

import werkzeug.serving
from oidc_provider_mock import User
from oidc_provider_mock._app import app as made

os.environ.setdefault("AUTHLIB_INSECURE_TRANSPORT", "1")  # HTTP, on loopback


class Provider:
    """One provider; a context manager. It can be stopped and started again at the same address."""

    def __init__(self) -> None:
        self.app = made()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.fails = False
        """Whether it answers nothing but its login form, as one does whose database is gone."""

        @self.app.before_request
        def note() -> Any:
            import flask

            self.asked.append((flask.request.path, dict(flask.request.values)))
            return ("away", 503) if self.fails and flask.request.path != "/oauth2/authorize" else None

        with self.app.test_request_context():
            self.app.preprocess_request()
            import flask

            self.storage = flask.g.oidc_provider_mock_storage
        self.port = 0

    def __enter__(self) -> Provider:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen."""
        self._server = werkzeug.serving.make_server("127.0.0.1", self.port, self.app, threaded=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Go away, as a provider does that is down."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(5)
            self._server.server_close()

    @property
    def url(self) -> str:
        """The issuer."""
        return f"http://127.0.0.1:{self.port}"

    def put(self, sub: str, **claims: Any) -> None:
        """Make a person, or change what is said of one."""
        self.storage.store_user(User(sub=sub, claims={"preferred_username": sub, **claims}))

    def rotate(self) -> None:
        """Sign with another key from now on."""
        self.storage.jwk = type(self.storage.jwk).generate_key(is_private=True)

    def expire(self, sub: str, refresh: bool = False) -> None:
        """End the access tokens of a person; with ``refresh`` the refresh tokens too."""
        for token in list(self.storage.access_tokens()):
            if token.user_id == sub:
                self.storage.remove_access_token(token.token)
        for token in list(self.storage.refresh_tokens()) if refresh else ():
            if token.user_id == sub:
                self.storage.remove_refresh_token(token.token)

    def settings(self, **more: Any) -> dict[str, Any]:
        """What the operator's file says of it; the hub asks for the addresses."""
        return {"issuer": self.url, "client_id": "geodes-lab", "basic_auth": True, **more}

    @property
    def addresses(self) -> dict[str, str]:
        """The same addresses, as an operator may write them."""
        places = {
            "authorize": "oauth2/authorize", "token": "oauth2/token", "userinfo": "userinfo", "keys": "jwks",
            "logout": "oauth2/end_session",
        }  # fmt: skip
        return {f"{name}_url": f"{self.url}/{place}" for name, place in places.items()}
