"""Whether the servers answer that the lab needs: the hub, the datalake, the provider of logins."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx

from geodes_lab.surroundings.finding import Finding


def asked(url: str, authority: str = "", seconds: float = 5) -> httpx.Response:
    """Ask for an address, without any credential; redirects are not followed.

    Raises
    ------
    OSError
        If there is no answer, whatever the reason.
    """
    context = ssl.create_default_context()
    if authority:
        context.load_verify_locations(authority)
    try:
        return httpx.get(url, verify=context, timeout=seconds, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OSError(str(error) or type(error).__name__) from error


def hub(url: str, seconds: float = 5) -> Iterator[Finding]:
    """Check that the hub answers, as it must for each pod of the lab."""
    try:
        version = asked(f"{url}/hub/api/", seconds=seconds).raise_for_status().json()["version"]
    except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError) as error:
        yield Finding(
            "hub", "failed",
            f"{url} does not answer ({error}): look at `kubectl logs deployment/hub` in this namespace, and "
            "at the policies (`kubectl get networkpolicy`).",
        )  # fmt: skip
        return
    yield Finding("hub", "holds", f"JupyterHub {version} answers.")


def datalake(endpoint: str, authority: str = "", seconds: float = 5) -> Iterator[Finding]:
    """Check that the datalake answers; whatever it says, since it is asked without a key."""
    try:
        answer = asked(endpoint, authority, seconds)
    except OSError as error:
        yield Finding("datalake", "failed", _unreachable(endpoint, error, "lab.datalake.endpoint", "network.datalake"))
        return
    if answer.status_code >= 500:
        yield Finding("datalake", "failed", f"{endpoint} answers {answer.status_code}: tell its operator.")
    else:
        yield Finding("datalake", "holds", f"{endpoint} answers ({answer.status_code} without a key).")


def provider(issuer: str, authority: str = "", seconds: float = 5) -> Iterator[Finding]:
    """Check that the provider of logins describes itself, under the name that the lab expects."""
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        answer = asked(url, authority, seconds)
    except OSError as error:
        yield Finding("provider", "failed", _unreachable(url, error, "lab.login.oidc.issuer", "network.login"))
        return
    try:
        named = answer.raise_for_status().json()["issuer"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        yield Finding(
            "provider", "failed",
            f"{url} answers {answer.status_code} and no description: correct lab.login.oidc.issuer, for Keycloak "
            "https://HOST/realms/REALM.",
        )  # fmt: skip
        return
    if named != issuer:
        yield Finding(
            "provider", "failed",
            f"The provider calls itself {str(named)[:200]!r} and not {issuer!r}: nobody's token is accepted. Write its "
            "own name, to the letter, into lab.login.oidc.issuer.",
        )  # fmt: skip
    else:
        yield Finding("provider", "holds", f"{issuer} answers and describes itself.")


def _unreachable(url: str, error: Exception, setting: str, network: str) -> str:
    return (
        f"{url} does not answer ({error}): check {setting}; a private address must be in {network}, a "
        "public one needs network.internet, and a firewall may stand before both."
    )
