"""Arguments of several commands: boxes, products, the options of a cube."""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from geodes_lab.errors import GeodesError, shown


@contextlib.contextmanager
def failing() -> Iterator[None]:
    """Report errors in a sentence, and exit with 1.

    Text of unknown origin has no control characters, in warnings too.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _warned
        try:
            yield
        except (GeodesError, OSError) as error:
            raise click.ClickException(shown(str(error))) from error


def _warned(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    click.echo(f"{category.__name__}: {shown(str(message))}", err=True)


class Box(click.ParamType):  # type: ignore[type-arg]
    """West, south, east, north."""

    name = "W,S,E,N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read four numbers."""
        if not isinstance(value, str):
            return value
        try:
            west, south, east, north = (float(v) for v in value.replace(",", " ").split())
        except ValueError:
            self.fail(f"{value!r} is not west,south,east,north in degrees, such as 1.7,43.5,1.9,43.6", param, ctx)
        return west, south, east, north


class Words(click.ParamType):  # type: ignore[type-arg]
    """Words with commas between them."""

    name = "A,B,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Split them."""
        return value.split(",") if isinstance(value, str) else value


def bbox(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option ``--bbox``. Write it with ``=`` if it begins with a minus: ``--bbox=-1.5,43,0,44``."""
    return click.option("--bbox", type=Box(), help="In degrees; --bbox=-1.5,43,0,44 where it begins with a minus.")(
        command
    )


def cube(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the products and the options of a cube."""
    options: list[Callable[..., Any]] = [
        click.argument("products", nargs=-1, required=True),
        click.option("--bands", type=Words(), required=True, help="Such as red,nir; B04 or gamma0_vv are names too."),
        bbox,
        click.option(
            "--geometry",
            metavar="FILE",
            help="An area instead of --bbox: a GeoJSON, GeoPackage, Shapefile or KML file.",
        ),
        click.option("--clip", is_flag=True, help="Pixels outside --geometry become no data."),
        click.option("--resolution", type=float, help="Size of a pixel; by default the products' own."),
        click.option("--crs", help="Such as EPSG:2154; by default the products' own."),
        click.option(
            "--resampling", default="nearest", show_default=True, help="How pixels are resampled to another grid."
        ),
        click.option("--mask", type=Words(), help="Classes of the products' own masks to hide, such as cloud."),
        click.option(
            "--fill",
            is_flag=True,
            help="Continue if a product cannot be read: its pixels become no data, with a report.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def opened(products: Sequence[str], options: dict[str, Any]) -> Any:
    """Open the cube that the options of `cube` describe."""
    from geodes_lab.cube.opening import open_cube

    arguments = {k: v for k, v in options.items() if v is not None and k != "fill"}
    return open_cube(listed(products), errors="fill" if options["fill"] else "raise", **arguments)


def listed(products: Sequence[str]) -> list[Any]:
    """Return the named products.

    Paths and URLs, or files of Items (``-``: standard input), as ``search --json`` writes them.
    """
    products_listed: list[Any] = []
    for name in products:
        if name != "-" and not name.endswith((".json", ".geojson")):
            products_listed.append(name)
            continue
        try:
            with click.open_file(name, encoding="utf-8") as file:
                document = json.load(file)
            products_listed += document["features"] if document.get("type") == "FeatureCollection" else [document]
        except (ValueError, KeyError, AttributeError, RecursionError) as error:
            raise GeodesError(f"{name} contains no Items: write it with `geodes-lab search … --json`.") from error
    return products_listed


def progress() -> Any:
    """Show a bar on the terminal during a computation; nothing without a terminal."""
    from dask.diagnostics.progress import ProgressBar

    return ProgressBar(out=sys.stderr) if sys.stderr.isatty() else contextlib.nullcontext()
