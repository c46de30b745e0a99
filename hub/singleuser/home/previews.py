"""Panel's previews run files of the home, and no others.

Its extension would run any file of the machine that an address names, as this account, and inserts the name into code
unescaped.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from tornado.web import HTTPError

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
