"""A catalogue service over HTTP: patient requests by pystac-client, and its refusals as sentences."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import orjson
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from urllib3.util.retry import Retry

from geodes_lab.errors import GeodesError

_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two parts of an answer
_ATTEMPTS = 6
_PASSING = (500, 502, 503, 504)  # what may go well at the next attempt


class Service:
    """Asks one service.

    Parameters
    ----------
    name
        What sentences call it.
    url
        Its address.
    token
        The environment variable that holds a token to be sent, if there is one; never said.
    """

    def __init__(self, name: str, url: str, token: str = "") -> None:
        self.name, self.url = name, url
        held = os.environ.get(token, "") if token else ""
        headers = {"Authorization": f"token {held}"} if held else None
        self.io = StacApiIO(headers=headers, timeout=_TIMEOUT, max_retries=_retry())

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request, again where that may help; give the JSON that it is answered by.

        Raises
        ------
        GeodesError
            If it is not answered, refused, or answered by what is no JSON.
        """
        try:
            return orjson.loads(self.io.request(f"{self.url}{path}", method, parameters=body))
        except APIError as error:
            raise self.refusal(error) from error
        except ValueError:
            raise GeodesError(
                f"The catalogue {self.name} answered {method} {self.url}{path} with what is no JSON: check its address."
            ) from None

    def refusal(self, error: APIError) -> GeodesError:
        """Say in a sentence why a request failed."""
        status, text = getattr(error, "status_code", None), _plain(str(error))  # one without an answer has none
        if status == 429 or "quota" in text.lower() or "rate limit" in text.lower():
            return GeodesError(
                f"The catalogue {self.name} refuses more requests for now ({text or status}): wait until the hour is over, "
                "or ask its operator for a larger quota."
            )
        if status in (401, 403):
            return GeodesError(
                f"The catalogue {self.name} refuses the request (HTTP {status}: {text}): check your key or your rights."
            )
        if status is None:
            return GeodesError(
                f"The catalogue {self.name} at {self.url} does not answer ({_reason(text)}): check the address and the network."
            )
        if status >= 500:
            return GeodesError(
                f"The catalogue {self.name} failed at each of {_ATTEMPTS} attempts (HTTP {status}: {text}): try again later."
            )
        return GeodesError(f"The catalogue {self.name} does not understand the request (HTTP {status}: {text}).")


def _retry() -> Retry:
    return Retry(
        total=_ATTEMPTS - 1, backoff_factor=0.2, status_forcelist=_PASSING, allowed_methods=None, raise_on_status=False,
        respect_retry_after_header=True,
    )  # fmt: skip


def _plain(text: str) -> str:
    """What a body says for people, in one line; of JSON its message alone."""
    try:
        said = json.loads(text)
        text = str(
            next((said[k] for k in ("description", "detail", "message", "messages", "error") if said.get(k)), text)
        )
    except (ValueError, AttributeError, TypeError):
        pass
    return " ".join(text.split())[:200]


def _reason(text: str) -> str:
    if "NameResolution" in text:
        return "its name is not known here"
    said = text.rpartition("Caused by ")[2].strip("()") or text
    return re.sub(r"<[^>]*>|HTTPS?Connection[^:]*: ", "", said).strip("\"' ")
