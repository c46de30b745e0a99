"""The sources of secrets.

The environment, a mounted file, a command, the hub, or an STS that accepts the hub's token.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from geodes_lab import settings
from geodes_lab.credentials import origin
from geodes_lab.credentials.secret import Kind, Secret
from geodes_lab.credentials.tls import context
from geodes_lab.errors import GeodesError
from geodes_lab.util.xml import parsed

# The names that sources use for the parts of a secret: AWS's files and tools, STS, CNES's assumerole, the hub.
_NAMES: dict[Kind, dict[str, tuple[str, ...]]] = {
    "s3": {
        "access_key_id": ("AWS_ACCESS_KEY_ID", "AccessKeyId", "access_key_id"),
        "secret_access_key": ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey", "secret_access_key"),
        "session_token": ("AWS_SESSION_TOKEN", "SessionToken", "session_token"),
    },
    "api_key": {"key": ("GEODES_API_KEY", "key", "api_key")},
    "token": {"token": ("GEODES_LAB_TOKEN", "access_token", "token")},
}
_ENDS = ("Expiration", "AWS_CREDENTIAL_EXPIRATION", "expiration", "expires_at")
_MAY_LACK = {"session_token"}
_SECONDS = 60.0  # for the answer of a command or a service


def environment(kind: Kind) -> Secret | None:
    """Read the secret from the environment of this process; None if it is not there."""
    return _understood(kind, os.environ)


def file(kind: Kind, path: str) -> Secret:
    """Read a file (JSON, or only the key), or a folder with a file for each part, as Kubernetes mounts a secret.

    Raises
    ------
    GeodesError
        If the file does not exist, or its content is not understood.
    """
    where = Path(path).expanduser()
    try:
        if where.is_dir():
            parts: Mapping[str, Any] = {p.name: p.read_text().strip() for p in where.iterdir() if p.is_file()}
        else:
            text = where.read_text().strip()
            parts = json.loads(text) if text.startswith("{") else {next(iter(_NAMES[kind].values()))[0]: text}
    except (OSError, ValueError) as error:
        raise GeodesError(
            f"The file {path} of geodes_lab.credentials.{kind} cannot be read ({type(error).__name__}): check that it "
            "exists and that you may read it."
        ) from None
    secret = _understood(kind, parts)
    if secret is None:
        wanted = ", ".join(names[0] for part, names in _NAMES[kind].items() if part not in _MAY_LACK)
        raise GeodesError(f"The file {path} of geodes_lab.credentials.{kind} is not complete: it must have {wanted}.")
    return secret


def command(kind: Kind, line: str) -> Secret:
    """Run a command that prints JSON, such as CNES's ``assumerole`` or any ``credential_process`` of AWS.

    Raises
    ------
    GeodesError
        If the command fails, or prints something else. The message does not repeat its output, which may be the secret.
    """
    name = shlex.split(line)[0] if line.strip() else line
    why = "run it by hand to see why"
    try:
        done = subprocess.run(
            shlex.split(line), capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL
        )
        if done.returncode == 0 and (secret := _understood(kind, json.loads(done.stdout))) is not None:
            return secret
        problem = f"ended with {done.returncode}" if done.returncode else "did not print the keys as JSON"
    except FileNotFoundError:
        problem, why = "does not exist", "check the setting"
    except subprocess.TimeoutExpired:
        problem = f"did not finish in {_SECONDS:.0f} s"
    except (OSError, ValueError, AttributeError):
        problem = "did not print the keys as JSON"
    raise GeodesError(f"The command {name} of geodes_lab.credentials.{kind} {problem}: {why}.")


def hub(url: str) -> Secret:
    """Ask the hub for a new access token of the user of this server.

    Raises
    ------
    GeodesError
        If the hub returns no token.
    """
    held, home = os.environ.get("JUPYTERHUB_API_TOKEN", ""), os.environ.get("JUPYTERHUB_API_URL", "")
    if url == "hub":
        url = f"{home}/geodes/token"
    if not origin.below(url, home):
        raise GeodesError(
            f"geodes_lab.credentials.token.url is {url!r}, which is not the hub's: the token of this server is sent "
            f"to {home or 'a hub'} only; write url: hub."
        )
    origin.guard(url, "The token of this server")
    try:
        headers = {"Authorization": f"token {held}"}
        answer = httpx.get(url, headers=headers, timeout=_SECONDS, verify=context(), follow_redirects=False)
        token = _understood("token", answer.json()) if answer.status_code == 200 else None
        reason = _said(answer)
    except (httpx.HTTPError, ValueError) as error:
        token, reason = None, type(error).__name__
    if token is None:
        raise GeodesError(
            f"The hub gave no access token ({reason}): log out of the lab, and log in again; if this does not help, "
            "tell the operator."
        )
    return token


def sts(endpoint: str, role: str | None, seconds: int, token: Secret) -> Secret:
    """Exchange an access token for keys of the datalake, with ``AssumeRoleWithWebIdentity`` of STS.

    Raises
    ------
    GeodesError
        If the datalake returns no keys.
    """
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleSessionName": "geodes-lab",
        "DurationSeconds": str(seconds),
        "WebIdentityToken": token["token"],
        **({"RoleArn": role} if role else {}),
    }
    origin.guard(endpoint, "Your access token")
    try:
        answer = httpx.post(endpoint, data=form, timeout=_SECONDS, verify=context(), follow_redirects=False)
        parts = {e.tag.rpartition("}")[2]: (e.text or "").strip() for e in parsed(answer.content).iter()}
        keys = _understood("s3", parts) if answer.status_code == 200 else None
        reason = f"HTTP {answer.status_code} {parts.get('Code', '')}".strip()
    except (httpx.HTTPError, ValueError) as error:
        keys, reason = None, type(error).__name__
    if keys is None:
        raise GeodesError(
            f"{endpoint} gave no keys for the datalake ({reason}): check geodes_lab.credentials.s3, and that you have "
            "the right to assume its role."
        )
    return keys


def chosen(kind: Kind) -> str:
    """Return the name of the source of a kind.

    The one in the settings, else the first that they describe, else the environment.

    Raises
    ------
    GeodesError
        If the settings name an unknown source.
    """
    source = settings.get(f"credentials.{kind}.from")
    known = {"environment", "file", "command"} | {"s3": {"sts"}, "token": {"hub"}}.get(kind, set())
    if source is not None:
        if source not in known:
            raise GeodesError(
                f"geodes_lab.credentials.{kind}.from is {source!r}; the possible values are: "
                f"{', '.join(sorted(known))}."
            )
        return str(source)
    described = {"file": "file", "command": "command", "sts": "endpoint", "hub": "url"}
    there = (name for name, key in described.items() if name in known and settings.get(f"credentials.{kind}.{key}"))
    return next(there, "environment")


def _understood(kind: Kind, answer: Mapping[str, Any]) -> Secret | None:
    """Find the parts of a secret in an answer, under whatever names."""
    parts: dict[str, str] = {}
    for part, names in _NAMES[kind].items():
        value = next((str(answer[n]).strip() for n in names if answer.get(n)), "")
        if value:
            parts[part] = value
        elif part not in _MAY_LACK:
            return None
    ends = next((answer[n] for n in _ENDS if answer.get(n)), None)
    if ends is None and answer.get("expires_in"):
        ends = time.time() + float(answer["expires_in"])
    if not all(
        v.isascii() and v.isprintable() for v in parts.values()
    ):  # HTTP libraries would show it in their error message
        raise GeodesError(f"The {_CALLED[kind]} contains characters that are not possible in a key: copy it again.")
    return Secret(parts, _moment(ends))


_CALLED: dict[Kind, str] = {
    "s3": "key of the datalake",
    "api_key": "portal's key, GEODES_API_KEY,",
    "token": "access token",
}


def _moment(ends: Any) -> float | None:
    if ends is None:
        return None
    try:
        return float(ends)
    except (TypeError, ValueError):
        pass
    try:
        when = datetime.fromisoformat(str(ends))
    except ValueError:
        raise GeodesError(
            "A key has an expiry time that is not a time: tell the operator of the service that issues it."
        ) from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _said(answer: httpx.Response) -> str:
    """Return why a service refused: its message, which holds no secret because it issued none."""
    try:
        text = str(answer.json().get("message", ""))
    except (ValueError, AttributeError):
        text = ""
    return f"HTTP {answer.status_code}{': ' + ' '.join(text.split())[:200] if text else ''}"
