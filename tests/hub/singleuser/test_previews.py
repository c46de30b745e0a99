"""What plots load from a person's server is there before panel's extension is, which comes at the first preview."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.testing import AsyncHTTPTestCase
from tornado.web import Application

from hub.singleuser.home import previews

BASE = "/user/ada/"


class TestPreviews(AsyncHTTPTestCase):
    def get_app(self) -> Application:
        self.app = Application([], base_url=BASE)
        previews._load_jupyter_server_extension(SimpleNamespace(web_app=self.app, base_url=BASE))
        return self.app

    def test_files_come_without_panel_and_nothing_else_does(self) -> None:
        bokeh, panel = (importlib.util.find_spec(n).submodule_search_locations[0] for n in ("bokeh", "panel"))
        for name, folder in (
            ("panel-preview/static/js/bokeh.min.js", f"{bokeh}/server/static/js/bokeh.min.js"),
            ("panel-preview/static/extensions/panel/panel.min.js", f"{panel}/dist/panel.min.js"),
            ("panel_dist/panel.min.js", f"{panel}/dist/panel.min.js"),
        ):
            answer = self.fetch(f"{BASE}{name}")
            assert answer.code == 200, name
            assert answer.body == Path(folder).read_bytes()
        for name in ("panel-preview/static/%2e%2e/%2e%2e/resources.py", "panel_dist/%2e%2e/config.py"):
            assert self.fetch(f"{BASE}{name}").code in (403, 404), name
        assert previews._LOADED not in self.app.settings

    def test_a_preview_is_answered_by_panels_own_handler_closed_to_strangers(self) -> None:
        asked = HTTPServerRequest(
            connection=SimpleNamespace(set_close_callback=lambda _: None),
            start_line=RequestStartLine("GET", f"{BASE}panel-preview/render/mine.py", "HTTP/1.1"),
            headers=HTTPHeaders({"Host": "127.0.0.1"}),
        )
        for _ in range(2):  # loaded by the first, found by the second
            found = self.app.find_handler(asked)
            assert found.handler_class.__name__ == "PanelJupyterHandler"
            assert found.handler_class.nb_path.__module__ == previews.__name__
        assert self.app.settings[previews._LOADED]


def test_the_extension_imports_neither_panel_nor_bokeh() -> None:
    code = "import sys, hub.singleuser.home.previews; print({'panel', 'bokeh'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
