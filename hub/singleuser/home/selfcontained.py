"""Notebooks as pages that need no server: the script of the plots goes into the page.

In a notebook it is an address of the owner's server (``kernels/geodes/holoviewsrc.py``), which those who get the page
cannot reach.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from nbconvert.preprocessors import Preprocessor

_LOAD, _SCRIPT = "application/vnd.holoviews_load.v0+json", "application/javascript"
_FROM_SERVER = re.compile(r'"[^"\s]*panel-preview/static/[^"\s]*"')


class Plots(Preprocessor):
    """Puts the script of the plots into a page, once."""

    enabled = True

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Replace the addresses of the script by the script."""
        for cell in nb.cells:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                if _FROM_SERVER.search(str(data.get(_LOAD, ""))):
                    data[_SCRIPT] = script()
                    data.pop(_LOAD)
        return nb, resources


@cache
def script() -> str:
    """Return what loads bokeh and panel, without an address."""
    from bokeh.resources import INLINE
    from panel.io.notebook import _autoload_js, require_components
    from panel.io.resources import Resources, bundle_resources, set_resource_mode

    with set_resource_mode("inline"):
        own = Resources.from_bokeh(INLINE, notebook=True)
        bundle = bundle_resources(None, own, notebook=True, reloading=False, enable_mathjax=False)
        configs, requirements, exports, skipped = require_components()
        loads: str = _autoload_js(
            bundle=bundle, configs=configs, requirements=requirements, exports=exports, skip_imports=skipped,
            ipywidget=False, reloading=False, load_timeout=5000,
        )  # fmt: skip
    return loads
