"""A page of the user's own server that makes an environment over the lab's, with a kernel: ``/geodes/environments``.

JupyterLab's launcher leads here ("New environment…").
"""

from __future__ import annotations

import asyncio
import html
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, authenticated

from geodes_lab.errors import GeodesError
from geodes_lab.util import group_folders
from hub.singleuser.home.meter import meter
from hub.singleuser.kernels.making import Making, Wish

_ROOM = 16 * 2**20  # bytes that an environment takes at least
_OFFERED = 50  # files of the home that are offered
_FILES = ("*requirements*.txt", "*environment*.yml", "*environment*.yaml")
_TEXT = {
    "en": {
        "title": "New environment",
        "what": "An environment has packages of your own over the lab's, and a kernel in the launcher. The lab's own "
        "packages are all there, and are never changed.",
        "name": "Name",
        "name_hint": "Small letters, digits and -, a letter first.",
        "group": "For",
        "me": "me alone",
        "group_hint": "Members of a group run your code when they start it.",
        "file": "A requirements.txt or environment.yml in your home",
        "text": "Or the packages, one on each line",
        "text_hint": "Without any, it has the lab's packages, and you install others in its kernel with %pip install.",
        "make": "Make it",
        "running": "{name} is being made …",
        "done": "{name} is made: its kernel is in the launcher.",
        "failed": "{name} was not made.",
        "back": "To JupyterLab",
    },
    "fr": {
        "title": "Nouvel environnement",
        "what": "Un environnement contient vos propres paquets par-dessus ceux du laboratoire, avec un noyau dans le "
        "lanceur. Les paquets du laboratoire y sont tous, et ne sont jamais modifiés.",
        "name": "Nom",
        "name_hint": "Des minuscules, des chiffres et -, une lettre d'abord.",
        "group": "Pour",
        "me": "moi seul",
        "group_hint": "Les membres d'un groupe exécutent votre code quand ils le démarrent.",
        "file": "Un requirements.txt ou environment.yml de votre espace",
        "text": "Ou les paquets, un par ligne",
        "text_hint": "Sans paquet, il a ceux du laboratoire ; %pip install dans son noyau en ajoute.",
        "make": "Créer",
        "running": "{name} est en cours de création…",
        "done": "{name} est prêt : son noyau est dans le lanceur.",
        "failed": "{name} n'a pas été créé.",
        "back": "À JupyterLab",
    },
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#16283a;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "label{display:block;font-weight:600;margin-top:1rem}small{color:#4a5b6c}"
    "input,select,textarea{font:inherit;width:100%;box-sizing:border-box;padding:.4rem;border:1px solid #8796a5;"
    "border-radius:4px}textarea{height:9rem;font-family:ui-monospace,monospace}"
    "button{background:#0b63b5;color:#fff;border:0;border-radius:4px;padding:.5rem 1rem;font:inherit;font-weight:600;"
    "margin:1rem 0}pre{background:#eef3f7;padding:1rem;max-height:18rem;overflow:auto;white-space:pre-wrap;"
    "overflow-wrap:anywhere}[role=status],[role=alert]{border-left:4px solid #0b63b5;background:#eef3f7;"
    "padding:.6rem 1rem}[role=alert]{border-color:#b00020;background:#fdecef}:focus-visible{outline:3px solid #f0a020}"
)
# What the server says is put into the page as text, never as HTML. The launcher reads its kernels anew when it is done.
_SCRIPT = """
const place = document.getElementById("progress"), words = JSON.parse(place.dataset.words);
const cookie = (document.cookie.match(/(?:^|; )_xsrf=([^;]*)/) || [])[1] || "";
async function look() {
  const headers = {Accept: "application/json", "X-XSRFToken": decodeURIComponent(cookie)};
  const now = await (await fetch(place.dataset.address, {headers, credentials: "same-origin"})).json();
  const said = document.createElement("p"), log = document.createElement("pre");
  said.setAttribute("role", now.state === "failed" ? "alert" : "status");
  said.textContent = words[now.state].replace("{name}", now.name) + (now.sentence ? " " + now.sentence : "");
  log.textContent = now.lines.join("\\n");
  log.tabIndex = 0;
  place.replaceChildren(said, ...(now.lines.length ? [log] : []));
  log.scrollTop = log.scrollHeight;
  document.querySelector("form button").disabled = now.state === "running";
  if (now.state === "running") setTimeout(look, 700);
  else if (now.state === "done") new BroadcastChannel("geodes-lab-environments").postMessage("made");
}
if (place.dataset.state !== "none") look();
"""


class Page(JupyterHandler):
    """The page, the action of its form, and the progress as JSON."""

    @property
    def making(self) -> Making:
        """The server's own."""
        own: Making = self.settings["geodes_lab_making"]
        return own

    @authenticated
    async def get(self) -> None:
        """Show the form and how far the last environment is."""
        if "application/json" in self.request.headers.get("Accept", ""):
            self.set_header("Cache-Control", "no-store")
            now = self.making
            state = {"name": now.name, "state": now.state, "sentence": now.sentence, "lines": list(now.lines)}
            self.finish(json.dumps(state))
            return
        self.finish(await self._page(Wish(""), ""))

    @authenticated
    async def post(self) -> None:
        """Begin to make an environment; Jupyter has checked the form's token."""
        wish = Wish(*(self.get_argument(name, "") for name in ("name", "group", "file", "text")))
        settings, loop = self.settings, asyncio.get_running_loop()
        try:
            lab_kernel = Path(self.kernel_spec_manager.get_kernel_spec("geodes").resource_dir)
        except KeyError as error:  # NoSuchKernel is one
            raise HTTPError(500, "The lab's kernel is not found: tell the operator.") from error

        def used() -> None:  # counts as activity of the server, so that it is not stopped right then
            loop.call_soon_threadsafe(settings.__setitem__, "geodes_lab_making_last_activity", datetime.now(UTC))

        try:
            if not wish.group and (sentence := await meter().refusal(_ROOM)):
                raise GeodesError(sentence)
            self.making.begin(wish, Path.home(), lab_kernel, used)
        except GeodesError as error:
            self.set_status(400)
            self.finish(await self._page(wish, str(error)))
            return
        used()
        self.redirect(url_path_join(self.base_url, "geodes/environments"))

    async def _page(self, wish: Wish, fault: str) -> str:
        tongue = "fr" if self.request.headers.get("Accept-Language", "").lower().startswith("fr") else "en"
        text = _TEXT[tongue]
        files = await asyncio.get_running_loop().run_in_executor(None, _files, Path.home())
        options = "".join(f"<option value='{_quoted(name)}'>" for name in files)
        words = _quoted(json.dumps({"none": "", **{state: text[state] for state in ("running", "done", "failed")}}))
        address = _quoted(url_path_join(self.base_url, "geodes/environments"))
        alert = f"<p role=alert>{html.escape(fault)}</p>" if fault else ""
        return (
            f"<!doctype html><html lang={tongue}><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>{text['title']}</title><style>{_STYLE}</style><main><h1>{text['title']}</h1><p>{text['what']}</p>"
            f"{alert}<div id=progress data-state={self.making.state} data-address='{address}' "
            f"data-words='{words}'></div>"
            f"<form method=post action='{address}'>{self.xsrf_form_html()}"
            f"<label for=name>{text['name']}</label><input id=name name=name required maxlength=31 "
            f"pattern='[a-z][a-z0-9\\-]*' autocomplete=off aria-describedby=name-hint value='{_quoted(wish.name)}'>"
            f"<small id=name-hint>{text['name_hint']}</small>{_groups(text, wish)}"
            f"<label for=file>{text['file']}</label><input id=file name=file list=files value='{_quoted(wish.file)}'>"
            f"<datalist id=files>{options}</datalist>"
            f"<label for=text>{text['text']}</label><textarea id=text name=text aria-describedby=text-hint>"
            f"\n{html.escape(wish.text)}</textarea><small id=text-hint>{text['text_hint']}</small>"
            f"<p><button>{text['make']}</button></p></form>"
            f"<p><a href='{_quoted(self.base_url)}lab'>{text['back']}</a></p>"
            f"</main><script>{_SCRIPT}</script></html>"
        )


def _groups(text: dict[str, str], wish: Wish) -> str:
    """The choice of a group, where there is one."""
    names = sorted(group_folders.folders())
    if not names or group_folders.are_volumes():
        return ""
    options = "".join(
        f"<option value='{_quoted(name)}'{' selected' if name == wish.group else ''}>{html.escape(name)}</option>"
        for name in names
    )
    return (
        f"<label for=group>{text['group']}</label><select id=group name=group aria-describedby=group-hint>"
        f"<option value=''>{text['me']}</option>{options}</select><small id=group-hint>{text['group_hint']}</small>"
    )


def _files(home: Path) -> list[str]:
    """Names of files in the home, and two folders deep, that list packages."""
    listed: list[str] = []
    for depth in ("", "*/", "*/*/"):
        for pattern in _FILES:
            for path in home.glob(f"{depth}{pattern}"):
                if not any(part.startswith(".") for part in path.relative_to(home).parts):
                    listed.append(path.relative_to(home).as_posix())
                if len(listed) >= _OFFERED:
                    return sorted(set(listed))
    return sorted(set(listed))


def _quoted(text: str) -> str:
    return html.escape(text, quote=True)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.kernels.environments"}]


def _load_jupyter_server_extension(app: Any) -> None:
    app.web_app.settings["geodes_lab_making"] = Making()
    if not os.environ.get("GEODES_LAB_RESCUE"):  # a full home takes no environment
        app.web_app.add_handlers(".*$", [(url_path_join(app.base_url, "geodes/environments"), Page)])
