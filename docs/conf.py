"""Sphinx: Markdown and notebooks with MyST, the reference from the docstrings; nothing is loaded from a CDN."""

project = "GEODES Lab"
author = "GEODES Lab contributors"
copyright = "GEODES Lab contributors"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "GEODES Lab"
html_static_path = ["_static"]
html_css_files = ["lab.css"]
html_show_sphinx = False

nb_execution_mode = "off"  # docs/execute.py has run them, in the lab's kernel
nb_ipywidgets_js = {}  # they would come from a CDN
nb_render_markdown_format = "myst"
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # the descriptions of parameters have them
autodoc_member_order = "bysource"
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False

suppress_warnings = [
    "mystnb.mime_priority",  # a notebook's own display types are shown as text
    "misc.highlighting_failure",  # magics
]
