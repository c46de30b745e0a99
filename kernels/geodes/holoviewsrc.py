"""Plots without the internet.

Holoviews reads this at import (HOLOVIEWSRC), with PANEL_INLINE=true in the environment.
"""


def _offline():
    # Everything is inside a function: holoviews runs this file without a namespace for later use.
    import os
    import sys

    import holoviews as hv
    import holoviews.ipython
    from bokeh.embed.bundle import URL
    from bokeh.resources import Resources
    from panel.io import notebook
    from panel.io.resources import patch_model_css

    # What records a notebook's outputs works in the former Notebook alone, and imports nbconvert: 0.3 seconds of
    # a core. Without it holoviews has its plain archive.
    sys.modules.setdefault("holoviews.ipython.archive", None)  # type: ignore[arg-type]
    # Plots include their JavaScript, where no server has it. Both this and PANEL_INLINE are needed.
    hv.extension.inline = True
    holoviews.ipython.notebook_extension.inline = True

    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if prefix:
        # In the lab, the user's own server has it: in each notebook it would be 6 MB. Pages for others include it
        # (hub/singleuser/home/selfcontained.py).
        notebook.INLINE = Resources(mode="server")
        bundle_resources = notebook.bundle_resources

        def bundle_of_the_server(*arguments, **options):
            bundle = bundle_resources(*arguments, **options)
            bundle.js_files = [URL(f"{prefix}panel-preview/{file.url}") for file in bundle.js_files]
            return bundle

        notebook.bundle_resources = bundle_of_the_server

    # Widgets still request style sheets from a CDN (panel 1.9 and 1.10): they are redirected to the user's own server,
    # where panel's extension serves the same files. Panel does so itself for resources="server", but without the
    # server's prefix.
    styles = f"{os.environ.get('JUPYTERHUB_SERVICE_PREFIX', '/')}panel-preview/static/extensions/panel/"
    render_model = notebook.render_model

    def render_with_own_styles(model, *args, **options):
        patch_model_css(model, dist_url=styles)
        if model.document:
            model.document._template_variables["dist_url"] = styles
        return render_model(model, *args, **options)

    notebook.render_model = render_with_own_styles


_offline()
