"""A notebook or a running app that others may read: in the user's own server, with JupyterHub's shares."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import httpx

from geodes_lab.credentials.tls import context
from geodes_lab.errors import GeodesError

_SECONDS = 30.0


@dataclass(frozen=True)
class Share:
    """Something that others may see; the result of `share`."""

    what: str
    """The notebook's path in the home, or the absolute path of the app's socket."""
    groups: tuple[str, ...]
    """The groups whose members see it."""
    url: str
    """The address for them, while this server runs."""
    invitation: str | None = field(default=None, repr=False)
    """A link that admits whoever accepts it.

    It can be passed on, so the repr does not show it.
    """

    def stop(self) -> None:
        """Stop sharing: nobody else can open it from now on.

        The groups keep their access to the server, where nothing is open to them.
        """
        _asked("DELETE", _own(), _named(self.what))

    def _repr_html_(self) -> str:
        to = f"members of {', '.join(self.groups)}" if self.groups else "whoever accepts the invitation"
        link = escape(self.url, quote=True)
        what = f"{escape(str(self.what))} is open to {escape(to)}, for reading, while this server runs"
        if not self.groups:
            return (
                f"<p>{what}. Send the link that <code>.invitation</code> has. This page opens only for those who have "
                f'accepted it: <a href="{link}">{link}</a></p>'
            )
        return f'<p>{what}: <a href="{link}">{link}</a></p>'


def share(what: str | os.PathLike[str] | int, *, groups: Sequence[str] = ()) -> Share:
    """Let others read a notebook, or use a running app. They have no access to anything else on the server.

    Parameters
    ----------
    what
        A notebook in the home, or the socket that an app listens on, such as that of ``panel serve --unix-socket``.
        Environment variables in it are expanded: ``$GEODES_LAB_RUNTIME`` is a folder of your server, closed to other
        accounts. A port is not allowed, because all accounts of the machine can connect to it.
    groups
        Names of your groups whose members can see it. Empty: only people to whom you send ``invitation``.

    Returns
    -------
    Share
        Send its ``url`` to the members of the groups, or its ``invitation`` if you gave no groups. ``stop()`` ends the
        sharing; it also ends when the server stops.

    Raises
    ------
    GeodesError
        If this is not a server of a hub, the notebook or app does not exist, or you are not in one of the groups.

    Examples
    --------
    >>> import geodes_lab as gl                                          # doctest: +SKIP
    >>> gl.share("08_share.ipynb").invitation                            # doctest: +SKIP
    >>> gl.share("$GEODES_LAB_RUNTIME/map.sock", groups=["land"]).url    # doctest: +SKIP
    """
    user, api = os.environ.get("JUPYTERHUB_USER"), os.environ.get("JUPYTERHUB_API_URL")
    if not user or not api:
        raise GeodesError(
            "gl.share shows a notebook or an app on a server of a lab's hub, and this is not such a server: log in to "
            "a lab, or start one with `make lab`."
        )
    if isinstance(what, int):
        raise GeodesError(
            f"Port {what} is open to every account on this machine, so it cannot be shared: let the app listen at a "
            "socket, `panel serve app.py --unix-socket $GEODES_LAB_RUNTIME/app.sock`, and share that: "
            "gl.share('$GEODES_LAB_RUNTIME/app.sock')."
        )
    path = Path(os.path.expandvars(what)).expanduser()
    one = str(path.absolute()) if path.is_socket() else _in_home(path)
    _refuse_foreign(groups, api)
    server = f"{api}/shares/{user}/{os.environ.get('JUPYTERHUB_SERVER_NAME', '')}"
    for group in groups:
        _asked(
            "POST",
            server,
            {"group": group},
            f"Sharing with the group {group} is refused: you can only share with your own groups",
        )
    places: list[str] = _asked("POST", _own(), _named(one), f"{one} is not shared")["places"]
    end = (
        f"/geodes/apps/{path.stem}/"
        if path.is_socket()
        else f"/nbconvert/html/{httpx.URL(path='/' + one).raw_path.decode()[1:]}"
    )
    address = os.environ.get("GEODES_LAB_ADDRESS", "")
    # If people have host names of their own, the server is at its person's, and the invitation at the hub's.
    own = httpx.URL(os.environ.get("JUPYTERHUB_PUBLIC_URL") or address)
    url = f"{own.scheme}://{own.netloc.decode()}" if own.host else ""
    url += next(p for p in places if p.endswith(end))
    invitation = None
    if not groups:
        code = _asked("POST", server.replace("/shares/", "/share-codes/"), {}, "The hub did not create an invitation")
        invitation = f"{address}{code['accept_url']}"
    return Share(one, tuple(groups), url, invitation)


def _refuse_foreign(groups: Sequence[str], api: str) -> None:
    """Refuse a group that the person is not in, with those that there are."""
    if not groups:
        return
    own = _asked("GET", f"{api}/user", None, f"Sharing with the group {groups[0]} is refused").get("groups")
    foreign = [group for group in groups if own is not None and group not in own]
    if not foreign:
        return
    if not own:
        raise GeodesError(
            f"You are in no group of this lab, so you cannot share with {foreign[0]!r}: leave out groups=, and send "
            "the link in .invitation."
        )
    raise GeodesError(f"You are not in the group {foreign[0]!r}: share with one of yours, {', '.join(sorted(own))}.")


def _in_home(path: Path) -> str:
    whole, home = path.expanduser().resolve(), Path.home().resolve()
    if whole.suffix != ".ipynb" or not whole.is_file() or not whole.is_relative_to(home):
        raise GeodesError(f"{path} is not a notebook in your home: give its path, or the socket of a running app.")
    return str(whole.relative_to(home))


def _named(what: str) -> dict[str, Any]:
    return {"socket": what} if what.startswith("/") else {"notebook": what}


def _own() -> str:
    """Return where this server listens, behind the proxy."""
    return f"{os.environ.get('JUPYTERHUB_SERVICE_URL', '').rstrip('/')}/geodes/shares"


def _asked(method: str, url: str, body: dict[str, Any] | None, refused: str = "The share was not removed") -> Any:
    token = {"Authorization": f"token {os.environ.get('JUPYTERHUB_API_TOKEN', '')}"}
    try:
        answer = httpx.request(method, url, json=body, headers=token, timeout=_SECONDS, verify=context())
    except httpx.HTTPError as error:
        raise GeodesError(f"{refused}: {url} does not answer ({type(error).__name__}).") from None
    if answer.is_error:
        try:
            message = str(answer.json().get("message"))
        except ValueError:
            message = ""
        raise GeodesError(f"{refused} (HTTP {answer.status_code}{': ' + message if message else ''}).")
    return answer.json()
