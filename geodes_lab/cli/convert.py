"""``geodes-lab convert``."""

from __future__ import annotations

import json

import click

from geodes_lab.cli.arguments import Words, failing, listed, progress
from geodes_lab.errors import shown


@click.command()
@click.argument("products", nargs=-1, required=True)
@click.option("--to", required=True, metavar="PLACE", help="A folder, or a cube ….zarr; also s3://bucket/….")
@click.option("--bands", type=Words(), help="Only these bands: red,nir.")
@click.option("--objects", type=int, default=32, show_default=True, help="Megabytes of each object of a cube.")
@click.option("--overwrite", is_flag=True, help="Convert again what is there.")
@click.option("--json", "as_json", is_flag=True, help="What became of each product, as JSON.")
def convert(
    products: tuple[str, ...], to: str, bands: list[str] | None, objects: int, overwrite: bool, as_json: bool
) -> None:
    """Convert PRODUCTS to cloud-optimised GeoTIFF, or to one GeoZarr cube, without changing any number.

    PRODUCTS are paths and URLs, or files of Items as `search --json` writes them (-: standard input). Each pixel is
    compared with the source before the Item is written. If a product cannot be converted, the others are, and it exits
    with 1.

    \b
    Examples:
      geodes-lab search PEPS_S2_L1C --tile 31TCJ --json | geodes-lab convert - --to cog
      geodes-lab convert scene.zip --to cog --bands red,nir
      geodes-lab convert found.json --to june.zarr --bands red,nir
    """
    from geodes_lab.conversion.convert import convert as converted
    from geodes_lab.conversion.report import ConversionFailed

    with failing():
        error = None
        try:
            with progress():
                report = converted(listed(products), to, bands, objects=objects, overwrite=overwrite)
        except ConversionFailed as failed:
            report, error = failed.report, failed
        if as_json:
            rows = json.loads(report.table.reset_index().to_json(orient="records"))
            click.echo(json.dumps({"products": rows, "seconds": report.seconds}, indent=1))
        else:
            click.echo("\n".join(shown(line) for line in repr(report).splitlines()))
        if error is not None:
            raise error
