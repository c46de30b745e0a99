"""Pages of notebooks: the script of the plots is in them, not an address of somebody's server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from nbformat.v4 import new_code_cell, new_notebook, new_output
from traitlets.config import Config

from hub.singleuser.home.selfcontained import Plots
from tests.support.paths import TOP

_LOAD = "application/vnd.holoviews_load.v0+json"
# What a kernel of the lab displays when the first plot loads its script.
SHOWN = """
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.display_pub = CapturingDisplayPublisher()
import holoviews as hv
from panel.io.notebook import load_notebook
load_notebook(inline=True)
print(max((o["data"].get("application/vnd.holoviews_load.v0+json", "") for o in shell.display_pub.outputs), key=len))
"""


def loaded(prefix: str) -> str:
    environment = {
        "HOLOVIEWSRC": str(TOP / "kernels" / "geodes" / "holoviewsrc.py"),
        "PANEL_INLINE": "true",
        "PATH": str(Path(sys.executable).parent),
        **({"JUPYTERHUB_SERVICE_PREFIX": prefix} if prefix else {}),
    }
    return subprocess.run(
        [sys.executable, "-c", SHOWN], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_script_of_the_plots_is_an_address_in_a_notebook_and_text_in_a_page():
    address = loaded("/user/alice/")
    assert "/user/alice/panel-preview/static/js/bokeh.min.js" in address
    assert "/user/alice/panel-preview/static/extensions/panel/panel.min.js" in address
    assert len(address) < 100_000
    assert "https://" not in address
    output = new_output("display_data", {_LOAD: address, "application/javascript": address})
    notebook = new_notebook(cells=[new_code_cell("gl.plot.image(cube)", outputs=[output])])

    # As nbconvert does it, in a terminal and for who a notebook is shared with.
    from nbconvert import HTMLExporter
    from traitlets.config.loader import PyFileConfigLoader

    config = PyFileConfigLoader("jupyter_config.py", str(TOP / "hub" / "singleuser")).load_config()
    page, _ = HTMLExporter(config=Config(config)).from_notebook_node(notebook)
    assert "panel-preview/static" not in page
    assert len(page) > 2_000_000
    assert "Bokeh" in page


def test_other_outputs_stay_as_they_are():
    output = new_output("display_data", {"application/javascript": "element.append('a')", "text/plain": "a"})
    notebook = new_notebook(cells=[new_code_cell("", outputs=[output])])
    before = notebook.copy()
    after, _ = Plots().preprocess(notebook, {})
    assert after == before
