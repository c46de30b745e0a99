"""Where secrets come from.

The environment, a mounted file, a command, the hub, or an STS that takes the hub's token.
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

# What each part of a secret is called by those who give it: AWS's files and tools, STS, CNES's assumerole, the hub.
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
_SECONDS = 60.0  # for a command or a service to answer


def environment(kind: Kind) -> Secret | None:
    """Take it from the environment of this process; None if it is not there."""
    return _understood(kind, os.environ)


def file(kind: Kind, path: str) -> Secret:
    """Read a file that is JSON or the bare key, or a folder with a file for each part, as Kubernetes mounts a secret.

    Raises
    ------
    GeodesError
        If there is none, or it is not understood.
    """
    where = Path(path).expanduser()
    try:
        if where.is_dir():
            told: Mapping[str, Any] = {p.name: p.read_text().strip() for p in where.iterdir() if p.is_file()}
        else:
            text = where.read_text().strip()
            told = json.loads(text) if text.startswith("{") else {next(iter(_NAMES[kind].values()))[0]: text}
    except (OSError, ValueError) as error:
        raise GeodesError(
            f"The file {path} of geodes_lab.credentials.{kind} cannot be read ({type(error).__name__}): check that it "
            "is there and is yours to read."
        ) from None
    found = _understood(kind, told)
    if found is None:
        wanted = ", ".join(names[0] for part, names in _NAMES[kind].items() if part not in _MAY_LACK)
        raise GeodesError(
            f"The file {path} of geodes_lab.credentials.{kind} lacks what is needed: it must have {wanted}."
        )
    return found


def command(kind: Kind, line: str) -> Secret:
    """Run a command that prints JSON, as CNES's ``assumerole`` or any ``credential_process`` of AWS does.

    Raises
    ------
    GeodesError
        If it fails, or prints something else. What it printed is not repeated: it may be the secret.
    """
    name = shlex.split(line)[0] if line.strip() else line
    why = "run it by hand and see"
    try:
        done = subprocess.run(
            shlex.split(line), capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL
        )
        if done.returncode == 0 and (found := _understood(kind, json.loads(done.stdout))) is not None:
            return found
        problem = f"ended with {done.returncode}" if done.returncode else "did not print the keys as JSON"
    except FileNotFoundError:
        problem, why = "is not there", "check the setting"
    except subprocess.TimeoutExpired:
        problem = f"did not end in {_SECONDS:.0f} s"
    except (OSError, ValueError, AttributeError):
        problem = "did not print the keys as JSON"
    raise GeodesError(f"The command {name} of geodes_lab.credentials.{kind} {problem}: {why}.")


def hub(url: str) -> Secret:
    """Ask the hub for a fresh access token of the person whose server this is.

    Raises
    ------
    GeodesError
        If it gives none.
    """
    held, home = os.environ.get("JUPYTERHUB_API_TOKEN", ""), os.environ.get("JUPYTERHUB_API_URL", "")
    if url == "hub":
        url = f"{home}/geodes/token"
    if not origin.below(url, home):
        raise GeodesError(
            f"geodes_lab.credentials.token.url is {url!r}, which is not the hub's: this server's own token goes to "
            f"{home or 'a hub'} alone; write url: hub."
        )
    origin.guard(url, "The token of this server")
    try:
        headers = {"Authorization": f"token {held}"}
        answer = httpx.get(url, headers=headers, timeout=_SECONDS, verify=context(), follow_redirects=False)
        found = _understood("token", answer.json()) if answer.status_code == 200 else None
        said = _said(answer)
    except (httpx.HTTPError, ValueError) as error:
        found, said = None, type(error).__name__
    if found is None:
        raise GeodesError(
            f"The hub gives no access token ({said}): log out of the lab and in again; if that does not help, tell "
            "its operator."
        )
    return found


def sts(endpoint: str, role: str | None, seconds: int, token: Secret) -> Secret:
    """Change an access token for keys of the datalake, by STS's ``AssumeRoleWithWebIdentity``.

    Raises
    ------
    GeodesError
        If the datalake gives none.
    """
    asked = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleSessionName": "geodes-lab",
        "DurationSeconds": str(seconds),
        "WebIdentityToken": token["token"],
        **({"RoleArn": role} if role else {}),
    }
    origin.guard(endpoint, "Your access token")
    try:
        answer = httpx.post(endpoint, data=asked, timeout=_SECONDS, verify=context(), follow_redirects=False)
        parts = {e.tag.rpartition("}")[2]: (e.text or "").strip() for e in parsed(answer.content).iter()}
        found = _understood("s3", parts) if answer.status_code == 200 else None
        said = f"HTTP {answer.status_code} {parts.get('Code', '')}".strip()
    except (httpx.HTTPError, ValueError) as error:
        found, said = None, type(error).__name__
    if found is None:
        raise GeodesError(
            f"{endpoint} gives no keys for the datalake ({said}): check geodes_lab.credentials.s3, and that you may "
            "assume its role."
        )
    return found


def chosen(kind: Kind) -> str:
    """The name of the source of a kind: what the settings say, else the first that they describe, else the environment.

    Raises
    ------
    GeodesError
        If the settings name one that there is not.
    """
    said = settings.get(f"credentials.{kind}.from")
    known = {"environment", "file", "command"} | {"s3": {"sts"}, "token": {"hub"}}.get(kind, set())
    if said is not None:
        if said not in known:
            raise GeodesError(f"geodes_lab.credentials.{kind}.from is {said!r}: it can be {', '.join(sorted(known))}.")
        return str(said)
    described = {"file": "file", "command": "command", "sts": "endpoint", "hub": "url"}
    there = (name for name, key in described.items() if name in known and settings.get(f"credentials.{kind}.{key}"))
    return next(there, "environment")


def _understood(kind: Kind, told: Mapping[str, Any]) -> Secret | None:
    """The parts of a secret in what somebody gave, whatever they call them."""
    found: dict[str, str] = {}
    for part, names in _NAMES[kind].items():
        value = next((str(told[n]).strip() for n in names if told.get(n)), "")
        if value:
            found[part] = value
        elif part not in _MAY_LACK:
            return None
    ends = next((told[n] for n in _ENDS if told.get(n)), None)
    if ends is None and told.get("expires_in"):
        ends = time.time() + float(told["expires_in"])
    if not all(
        v.isascii() and v.isprintable() for v in found.values()
    ):  # HTTP libraries would show it in their complaint
        raise GeodesError(f"The {_CALLED[kind]} has characters that none has: copy it again.")
    return Secret(found, _moment(ends))


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
        raise GeodesError("A key came with a time of expiry that is no time: tell who gives it.") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _said(answer: httpx.Response) -> str:
    """Why a service refused: its message, which is not the secret since there is none."""
    try:
        text = str(answer.json().get("message", ""))
    except (ValueError, AttributeError):
        text = ""
    return f"HTTP {answer.status_code}{': ' + ' '.join(text.split())[:200] if text else ''}"
