"""Panel's previews run files of the home, and no others.

Its extension would run any file of the machine that an address names, as this account, and inserts the name into code
unescaped. It is loaded when somebody opens a preview; what plots need of it is a few files.
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyter_server.utils import url_path_join
from tornado.httputil import HTTPServerRequest
from tornado.routing import PathMatches, Router, Rule
from tornado.web import HTTPError, StaticFileHandler

_LOADED = "geodes_lab_previews"
_KINDS = (".py", ".ipynb", ".md")
_CODE = re.compile(r"""['"\\{}\x00-\x1f\x7f]""")  # characters that would end the literal of a name


def inside(root: Path, name: str) -> Path:
    """Return the file of the home that an address names.

    Raises
    ------
    HTTPError
        If there is none, or its name could be code.
    """
    try:
        path = (root / name).resolve()
        mine = path.is_file() and path.stat().st_uid == os.geteuid()
    except (OSError, ValueError):
        mine = False
    if not name or name.startswith("/") or not mine or not path.is_relative_to(root.resolve()):
        raise HTTPError(404, "This file is not in your home: a preview runs only your own files.")
    if path.suffix not in _KINDS or _CODE.search(str(path)):
        raise HTTPError(
            400, "A preview runs only notebooks and Python files whose names have no quotes, braces or backslashes."
        )
    return path


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.home.previews"}]


def _load_jupyter_server_extension(app: Any) -> None:
    web, base = app.web_app, app.base_url
    panel, bokeh = _folder("panel") / "dist", _folder("bokeh") / "server" / "static"
    web.add_handlers(
        ".*$",
        [
            # What plots in notebooks load from here: files, for which nothing is imported.
            (url_path_join(base, "panel-preview/static/extensions/panel/(.*)"), StaticFileHandler, {"path": panel}),
            (url_path_join(base, "panel-preview/static/(?!extensions/)(.*)"), StaticFileHandler, {"path": bokeh}),
            (url_path_join(base, "panel_dist/(.*)"), StaticFileHandler, {"path": panel}),
        ],
    )
    rest = Rule(_NotYet(url_path_join(base, "panel-preview/.*"), web.settings), _Panel(app))
    web.default_router.rules.insert(-1, rest)  # as `add_handlers` does, which takes no router


def _folder(package: str) -> Path:
    """Return the folder of a package, which is not imported."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


class _NotYet(PathMatches):
    """The addresses of panel's extension, until it is loaded."""

    def __init__(self, pattern: str, settings: dict[str, Any]) -> None:
        super().__init__(pattern)
        self._settings = settings

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Match as long as it is not loaded."""
        return None if self._settings.get(_LOADED) else super().match(request)


class _Panel(Router):
    """Loads panel's extension at its first request: it takes a second and a half, and few people open a preview."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def find_handler(self, request: HTTPServerRequest, **_: Any) -> Any:
        """Load it, and let it answer."""
        from panel.io import jupyter_server_extension

        _close()
        jupyter_server_extension._load_jupyter_server_extension(self._app)
        self._app.web_app.settings[_LOADED] = True
        return self._app.web_app.find_handler(request)


def _close() -> None:
    """Let panel's previews run files of the home alone, and only for who is logged in."""
    from jupyter_server.base.handlers import JupyterHandler
    from panel.io.jupyter_server_extension import PanelBaseHandler, PanelWSProxy, get_server_root_dir

    def nb_path(self: Any, path: str | None = None) -> Path:
        return inside(Path(get_server_root_dir(self.application.settings)), path or "")

    PanelBaseHandler.nb_path = nb_path  # type: ignore[method-assign]

    async def prepare(self: Any) -> None:
        await JupyterHandler.prepare(self, _redirect_to_login=False)
        if not self.current_user:
            raise HTTPError(403, "Log in first.")

    # Panel's own treats everybody as logged in, and accepts pages of every site: the id of a session would be enough to
    # control it.
    PanelWSProxy.prepare = prepare  # type: ignore[method-assign]
    PanelWSProxy.get_current_user = JupyterHandler.get_current_user  # type: ignore[method-assign]
    PanelWSProxy.check_origin = JupyterHandler.check_origin  # type: ignore[method-assign]
