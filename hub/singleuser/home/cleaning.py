"""A page of the user's own server that shows how full the home is and helps to free space: ``/geodes/space``."""

from __future__ import annotations

import asyncio
import html
import json
import os
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_escape, url_path_join
from tornado.web import HTTPError, authenticated

from hub.singleuser import tongue
from hub.singleuser.home import space
from hub.singleuser.home.meter import meter

_TEXT = {
    "en": {
        "title": "Space in your home",
        "used": "{used} of {quota} are used ({part:.0%}).",
        "disk": "Your home contains {used}. Its disk is {part:.0%} full: {free} are free.",
        "rescue": "Your home is full: {reason}. The server started in rescue mode, so that you can free some space: "
        "kernels work, but you cannot save anything new in your home until there is space.",
        "over": "Your home is over its quota. JupyterLab saves and uploads nothing new until there is space; you can "
        "open, download and delete all your files. Do not write more from terminals and notebooks: what they write "
        "may be cut off.",
        "unknown": "The size of your home is not known: it could not be measured.",
        "fetch": "Download",
        "again": "There is space again. Stop the server and start it again to leave rescue mode.",
        "what": "Largest files and folders",
        "anew": "can be created again",
        "size": "Size",
        "name": "Name",
        "remove": "Remove the selected items",
        "removed": "Removed {size}.",
        "stop": "Go to the hub to stop and start the server",
        "files": "To JupyterLab",
        "nothing": "There are no large files here.",
    },
    "fr": {
        "title": "Place dans votre espace",
        "used": "{used} sur {quota} sont utilisés ({part:.0%}).",
        "disk": "Votre espace contient {used}. Son disque est plein à {part:.0%} : il reste {free}.",
        "rescue": "Votre espace est plein : {reason}. Le serveur a démarré en mode secours pour que vous fassiez de "
        "la place : les noyaux "
        "fonctionnent, mais rien de nouveau ne peut être enregistré tant qu'il n'y a pas de place.",
        "over": "Votre espace dépasse son quota. JupyterLab n'enregistre et ne téléverse plus rien tant qu'il n'y a "
        "pas de place ; vous pouvez ouvrir, télécharger et supprimer tous vos fichiers. N'écrivez plus depuis les "
        "terminaux et les notebooks : ce qu'ils écrivent peut être tronqué.",
        "unknown": "La taille de votre espace n'est pas connue : il n'a pas pu être mesuré.",
        "fetch": "Télécharger",
        "again": "Il y a de nouveau de la place. Arrêtez le serveur et redémarrez-le : le mode secours sera terminé.",
        "what": "Fichiers et dossiers les plus volumineux",
        "anew": "peut être refait",
        "size": "Taille",
        "name": "Nom",
        "remove": "Supprimer les éléments cochés",
        "removed": "{size} supprimés.",
        "stop": "Aller au hub pour arrêter et redémarrer le serveur",
        "files": "À JupyterLab",
        "nothing": "Rien de volumineux ici.",
    },
}

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#16283a;max-width:52rem;margin:2rem auto;padding:0 "
    "1rem}table{border-collapse:"
    "collapse;width:100%}td,th{text-align:left;padding:.3rem .5rem;border-bottom:1px solid "
    "#d5dde5}td:last-child,th:last-child{text-align:"
    "right;white-space:nowrap}.note{background:#fff4df;border-left:4px solid #b86e00;padding:.6rem "
    "1rem}button{background:#0b63b5;color:"
    "#fff;border:0;border-radius:4px;padding:.5rem 1rem;font:inherit;font-weight:600;margin:1rem "
    "0}meter{width:100%;height:1.4rem}"
    ":focus-visible{outline:3px solid #f0a020}"
)


class Page(JupyterHandler):
    """The page, and the actions of its form."""

    @authenticated
    async def get(self) -> None:
        """Show how full the home is; as JSON for programs."""
        if "application/json" in self.request.headers.get("Accept", ""):
            now = await meter().now()  # JupyterLab asks again and again
            warn = now.is_scarce(float(os.environ.get("GEODES_LAB_HOME_WARN") or 0.8))
            more = {"part": now.part, "warn": warn, "over": now.is_over, "rescue": _rescue()}
            self.finish(json.dumps({**vars(now), **more}))
            return
        now = await meter().anew()
        self.finish(self._page(now, await _aside(space.fillers, Path.home()), 0))

    @authenticated
    async def post(self) -> None:
        """Remove the selected files, and show the page again."""
        home, total = Path.home(), 0
        for name in self.get_arguments("path", strip=False):
            try:
                total += await _aside(space.remove, home, name)
            except (ValueError, OSError) as error:
                raise HTTPError(
                    400, f"{name!r} cannot be removed: it is not in your home, or it is not yours."
                ) from error
        self.finish(self._page(await meter().anew(), await _aside(space.fillers, home), total))

    def _page(self, now: space.Space, fillers: list[tuple[str, int, bool]], removed: int) -> str:
        language = tongue.of(self.request.headers)
        text = _TEXT[language]
        anew = f" <small>({text['anew']})</small>"
        rows = "".join(
            f"<tr><td><input type=checkbox name=path value='{html.escape(n, quote=True)}' "
            f"id=p{i}{' checked' if c else ''}></td>"
            f"<td><label for=p{i}>{html.escape(n)}{anew if c else ''}</label>{self._link(n, text['fetch'])}</td>"
            f"<td>{space.said(s)}</td></tr>"
            for i, (n, s, c) in enumerate(fillers)
        )
        notes = []
        if removed:
            notes.append(text["removed"].format(size=space.said(removed)))
        if _rescue():
            roomy = now.free >= space.NEEDED
            notes.append(text["again"] if roomy else text["rescue"].format(reason=html.escape(_rescue())))
        if now.is_over:
            notes.append(text["over"])
        table = (
            f"<form method=post>{self.xsrf_form_html()}<h2>{text['what']}</h2><table><thead><tr><th><span "
            f"aria-hidden=true>✓</span></th>"
            f"<th>{text['name']}</th><th>{text['size']}</th></tr></thead><tbody>{rows}</tbody></table><button>{text['remove']}</button></form>"
            if fillers
            else f"<p>{text['nothing']}</p>"
        )
        sizes = {"used": space.said(now.used), "quota": space.said(now.quota), "free": space.said(now.free)}
        summary = text["used" if now.quota else "disk"].format(**sizes, part=now.part)
        if now.used is None:
            summary = text["unknown"]
        hub = os.environ.get("JUPYTERHUB_BASE_URL", "/") + "hub/home"
        return (
            f"<!doctype html><html lang={language}><meta charset=utf-8><meta name=viewport "
            f"content='width=device-width'>"
            f"<title>{text['title']}</title><style>{_STYLE}</style><main><h1>{text['title']}</h1>"
            f"{''.join(f'<p class=note role=status>{n}</p>' for n in notes)}<p id=said>{summary}</p>"
            f"<meter min=0 max=1 high={os.environ.get('GEODES_LAB_HOME_WARN') or 0.8} value={min(now.part, 1):.3f} "
            f"aria-labelledby=said></meter>"
            f"{table}<p><a href='{hub}'>{text['stop']}</a> · <a "
            f"href='{self.base_url}lab'>{text['files']}</a></p></main></html>"
        )

    def _link(self, name: str, word: str) -> str:
        """A link to fetch a file, before it is removed; Jupyter hands out neither folders nor hidden files."""
        if any(part.startswith(".") for part in Path(name).parts) or not (Path.home() / name).is_file():
            return ""
        address = url_escape(url_path_join(self.base_url, "files", name))
        return f' · <a href="{html.escape(address, quote=True)}?download=1">{word}</a>'


def _rescue() -> str:
    return os.environ.get("GEODES_LAB_RESCUE", "")


async def _aside(call: Any, *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.home.cleaning"}]


def _load_jupyter_server_extension(app: Any) -> None:
    app.web_app.add_handlers(".*$", [(url_path_join(app.base_url, "geodes/space"), Page)])
