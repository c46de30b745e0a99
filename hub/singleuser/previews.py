"""Panel's previews run files of the home, and no others.

Its extension runs whatever file of the machine an address names, as this account,
and puts the name into code as it is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from tornado.web import HTTPError

_KINDS = (".py", ".ipynb", ".md")
_CODE = re.compile(r"""['"\\{}\x00-\x1f\x7f]""")  # what would end the literal that a name becomes


def inside(root: Path, name: str) -> Path:
    """Give the file of the home that an address names.

    Raises
    ------
    HTTPError
        If it is none, or its name could be code.
    """
    try:
        found = (root / name).resolve()
        mine = found.is_file() and found.stat().st_uid == os.geteuid()
    except (OSError, ValueError):
        mine = False
    if not name or name.startswith("/") or not mine or not found.is_relative_to(root.resolve()):
        raise HTTPError(404, "There is no such file in your home: a preview runs your own files alone.")
    if found.suffix not in _KINDS or _CODE.search(str(found)):
        raise HTTPError(
            400, "A preview runs notebooks and Python files, whose names have no quotes, braces or backslashes."
        )
    return found


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.previews"}]


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

    # Panel's own takes everybody for logged in, and pages of every site: who knows the id of a session would steer it.
    PanelWSProxy.prepare = prepare  # type: ignore[method-assign]
    PanelWSProxy.get_current_user = JupyterHandler.get_current_user  # type: ignore[method-assign]
    PanelWSProxy.check_origin = JupyterHandler.check_origin  # type: ignore[method-assign]
