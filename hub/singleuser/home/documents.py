"""The lab's documentation in the user's own server, ``/geodes/docs/``; and where a person begins, ``/geodes/start``."""

from __future__ import annotations

import html
import re
from pathlib import Path

import mistune
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, authenticated

_TOP = Path(__file__).resolve().parents[3]
_DOCS = _TOP / "docs"
_FOLDERS = {
    "tutorial": "Learn",
    "how-to": "Do",
    "reference": "Look up",
    "explanation": "Understand",
    "operations": "Run",
}
_TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".yaml": "text/plain; charset=utf-8"}
_DIRECTIVE = re.compile(r"^(```+)\{[a-z-]+\}.*?^\1\s*$", re.MULTILINE | re.DOTALL)  # what Sphinx alone understands
_STYLE = (
    "body{font:16px/1.55 system-ui,sans-serif;color:#16283a;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#eef3f7;padding:.8rem;overflow-x:auto}code{background:#eef3f7}table{border-collapse:collapse}"
    "td,th{border-bottom:1px solid #d5dde5;padding:.3rem .6rem;text-align:left}a{color:#0b63b5}img{max-width:100%}"
    ":focus-visible{outline:3px solid #f0a020}"
)


def page(name: str) -> str:
    """Return a page as HTML.

    Raises
    ------
    HTTPError
        If there is no such page.
    """
    if not name:
        return _framed("Documentation", _listed())
    text = _DIRECTIVE.sub("", _file(name).read_text())
    text = re.sub(r"^\(([\w-]+)\)=$", "", text, flags=re.MULTILINE)
    rendered = mistune.create_markdown(escape=True, plugins=["table", "strikethrough"])(text)
    up = "../" * name.count("/")
    return _framed(_title(text, name), f'<p><a href="{up or "./"}">Documentation</a></p>{_anchored(str(rendered))}')


def _file(name: str) -> Path:
    file = (_DOCS / name).resolve()
    if not file.is_relative_to(_DOCS) or not file.is_file() or file.suffix not in {".md", *_TYPES}:
        raise HTTPError(404, "The documentation has no such page.")
    return file


def _listed() -> str:
    parts = []
    for folder, word in _FOLDERS.items():
        parts.append(f"<h2>{word}</h2><ul>")
        for file in sorted((_DOCS / folder).glob("*.md")):
            link, title = html.escape(str(file.relative_to(_DOCS))), html.escape(_title(file.read_text(), file.stem))
            parts.append(f'<li><a href="{link}">{title}</a></li>')
        parts.append("</ul>")
    return f"<h1>GEODES Lab</h1>{''.join(parts)}"


def _title(text: str, name: str) -> str:
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    return heading[1].replace("`", "") if heading else name


def _anchored(rendered: str) -> str:
    """Give each heading the name by which other pages link to it."""

    def named(match: re.Match[str]) -> str:
        words = re.sub(r"<[^>]*>|[^\w\s-]", "", html.unescape(match[2])).strip().lower()
        name = re.sub(r"\s+", "-", words)
        return f'<h{match[1]} id="{name}">{match[2]}</h{match[1]}>'

    return re.sub(r"<h([1-4])>(.*?)</h\1>", named, rendered)


def _framed(title: str, inner: str) -> str:
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)} · GEODES Lab</title><style>{_STYLE}</style><main>{inner}</main></html>"
    )


class Documents(JupyterHandler):
    """The pages, and their pictures."""

    @authenticated
    def get(self, name: str) -> None:
        """Show one."""
        kind = _TYPES.get(Path(name).suffix)
        if kind:
            self.set_header("Content-Type", kind)
            self.finish(_file(name).read_bytes())
        else:
            self.finish(page(name))


class Start(JupyterHandler):
    """Leads to the first notebook, in the person's language."""

    @authenticated
    def get(self) -> None:
        """Redirect."""
        spoken = self.request.headers.get("Accept-Language", "").lower()
        home = Path(self.settings["server_root_dir"]).expanduser()
        name = f"notebooks/01_ndvi_cube{'.fr' if spoken.startswith('fr') else ''}.ipynb"
        place = f"lab/tree/{name}" if (home / name).is_file() else "lab"
        self.redirect(url_path_join(self.base_url, place))


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.home.documents"}]


def _load_jupyter_server_extension(app: object) -> None:
    base = app.base_url  # type: ignore[attr-defined]
    handlers = [(url_path_join(base, "geodes/docs/(.*)"), Documents), (url_path_join(base, "geodes/start"), Start)]
    app.web_app.add_handlers(".*$", handlers)  # type: ignore[attr-defined]
