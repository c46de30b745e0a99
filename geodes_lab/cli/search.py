"""``geodes-lab search``."""

from __future__ import annotations

import json
from typing import Any

import click

from geodes_lab.cli.arguments import Words, bbox, failing


@click.command()
@click.argument("collections", nargs=-1, required=True)
@bbox
@click.option(
    "--intersects", metavar="FILE", help="An area instead of --bbox: a GeoJSON, GeoPackage, Shapefile or KML file."
)
@click.option("--datetime", help="Time of the acquisition: 2021-06-05, 2021-06/2021-08 …")
@click.option("--cloud-cover", type=float, help="The highest cloud cover, in percent.")
@click.option("--tile", type=Words(), help="MGRS tiles, such as 31TCJ.")
@click.option("--orbit", type=int, help="The relative orbit.")
@click.option("--product-type", help="Such as GRD.")
@click.option("--id", "ids", multiple=True, help="The name of a product; may be given several times.")
@click.option("--where", multiple=True, metavar="NAME=VALUE", help="Any other queryable; may be given several times.")
@click.option("--sortby", help="A property; -eo:cloud_cover puts the highest first.")
@click.option("--all-versions", is_flag=True, help="Also older processings of the same product.")
@click.option("--limit", type=click.IntRange(1), help="The largest number of products.")
@click.option(
    "--profile", "profiles", multiple=True, metavar="NAME",
    help="The catalogue in the settings: local, geodes, lab … Several times: all are searched, and may be addresses.",
)  # fmt: skip
@click.option("--url", help="Another catalogue: the address of a STAC API, a catalog.json or a harvested folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the Items as GeoJSON, for programs and for plan and save.")
def search(
    collections: tuple[str, ...],
    where: tuple[str, ...],
    ids: tuple[str, ...],
    profiles: tuple[str, ...],
    all_versions: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Find products of COLLECTIONS.

    Exits with 0 even if nothing is found.

    \b
    Examples:
      geodes-lab search PEPS_S2_L1C --bbox 1.7,43.5,1.9,43.6 --datetime 2021-06/2021-08 --cloud-cover 30
      geodes-lab search PEPS_S1_L1 --product-type GRD --where sat_orbit_state=descending --limit 3
      geodes-lab search PEPS_S2_L1C --tile 31TCJ --profile geodes --json > found.json
    """
    from geodes_lab.catalog import search as searched

    more: dict[str, Any] = {}
    for pair in where:
        name, sign, value = pair.partition("=")
        if not sign:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--where")
        more[name] = value
    criteria = {k: v for k, v in asked.items() if v is not None}
    if profiles:
        criteria["profile"] = list(profiles) if len(profiles) > 1 else profiles[0]
    with failing():
        items = searched(list(collections), ids=list(ids) or None, latest=not all_versions, **criteria, **more)
    if as_json:
        click.echo(json.dumps(items.to_dict(transform_hrefs=False)))
        return
    for line in items.lines():
        click.echo(line)
    click.echo(f"{len(items)} product{'' if len(items) == 1 else 's'}.", err=True)
