"""How pystac's objects show themselves in a notebook: their content is text, never markup.

pystac asks Jinja to escape the values in templates whose names end in ``.html``, but its own templates end in
``.jinja2`` (``pystac.html.jinja_env`` of 1.15): an id, a property or a title with markup runs as code of the page that
shows it. All of its classes share one display, so that this fix covers Items, collections, catalogues, assets, links
and providers alike. Remove it when pystac escapes by itself; tests/hostile/test_display.py tells whether it does.
"""

from __future__ import annotations

import html
from typing import Any

from jinja2 import ChoiceLoader, DictLoader
from markupsafe import Markup, escape
from pystac.html.jinja_env import get_jinja_env

_TEMPLATE, _PLAIN = "JSON.jinja2", "{{ plain }}"


def guard() -> None:
    """Make pystac escape all that it shows; once for this process."""
    environment: Any = get_jinja_env()
    if environment is None or environment.autoescape is True:  # without Jinja, pystac shows plain text, escaped
        return
    environment.autoescape = True
    # Where there is no style, pystac escapes text itself: it must be escaped exactly once.
    environment.filters["once"] = _once
    source, _, _ = environment.loader.get_source(environment, _TEMPLATE)
    mended = DictLoader({_TEMPLATE: source.replace(_PLAIN, "{{ plain | once }}")})
    environment.loader = ChoiceLoader([mended, environment.loader])
    environment.cache.clear()


def _once(text: str) -> Markup:
    return escape(html.unescape(text))
