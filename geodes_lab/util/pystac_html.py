"""How pystac's objects show themselves in a notebook: what they hold is text, never markup.

pystac asks Jinja to escape what goes into templates whose names end in ``.html``, and its own end in ``.jinja2``
(``pystac.html.jinja_env`` of 1.15): an id, a property or a title that is markup runs as code of the page that shows it.
Its display is one for all of its classes, so that mending it here mends Items, collections, catalogues, assets, links
and providers alike, however they were made. To be dropped once pystac escapes by itself; tests/hostile/test_display.py
says whether it does.
"""

from __future__ import annotations

import html
from typing import Any

from jinja2 import ChoiceLoader, DictLoader
from markupsafe import Markup, escape
from pystac.html.jinja_env import get_jinja_env

_TEMPLATE, _PLAIN = "JSON.jinja2", "{{ plain }}"


def guard() -> None:
    """Have pystac escape all that it shows; once for this process."""
    environment: Any = get_jinja_env()
    if environment is None or environment.autoescape is True:  # without Jinja pystac shows plain text, escaped
        return
    environment.autoescape = True
    # What pystac shows where there is no style it has escaped itself: not twice, and not less than once.
    environment.filters["once"] = _once
    source, _, _ = environment.loader.get_source(environment, _TEMPLATE)
    mended = DictLoader({_TEMPLATE: source.replace(_PLAIN, "{{ plain | once }}")})
    environment.loader = ChoiceLoader([mended, environment.loader])
    environment.cache.clear()


def _once(text: str) -> Markup:
    return escape(html.unescape(text))
