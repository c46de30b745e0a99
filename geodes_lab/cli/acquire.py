"""``geodes-lab acquire``."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geodes_lab import extras
from geodes_lab.cli.arguments import failing
from geodes_lab.errors import shown

if TYPE_CHECKING:
    from geodes_lab.acquisition.engine import Result


class _Group(click.Group):
    """A group that runs the engine if its first word is no subcommand, but a file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``run`` before a file."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Group)
def acquire() -> None:
    """Bring newly published products into a datalake, and keep its catalogue.

    \b
    Examples:
      geodes-lab acquire region.yaml            look once, and work until nothing waits
      geodes-lab acquire region.yaml --watch    the same again and again
      geodes-lab acquire status region.yaml     found, fetched, refused and why, rates, lag
      geodes-lab acquire schema                 the JSON schema of the settings
    """


@acquire.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--watch", is_flag=True, help="Look again and again, until it is stopped.")
@click.option("--retry-refused", is_flag=True, help="Try products again that were refused.")
@click.option("--json", "as_json", is_flag=True, help="Print what each round did as a line of JSON.")
def run(config: Path, watch: bool, retry_refused: bool, as_json: bool) -> None:
    """Look at the sources of CONFIG, and bring what is new.

    It can be stopped at any time, also by kill -9, and called again. It exits with 1 if a source could not be read.
    """
    with failing():
        with extras.needed("geodes-lab acquire"):
            from geodes_lab.acquisition.engine import Engine
            from geodes_lab.acquisition.loading import load
            from geodes_lab.storage.whole_object.stop import Stop, Stopped
            from geodes_lab.util import allocation
        allocation.give_back()
        engine, stopped = Engine(load(config), Stop()), False
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: engine.stop.set())
        if retry_refused:
            engine.leases.again()
            engine.converting.conversions.again()

        def told(result: Result) -> None:
            click.echo(json.dumps(asdict(result)) if as_json else _sentence(result))

        if watch:
            engine.watch(told)
            return
        result = None
        try:
            result = engine.run()
        except Stopped:
            stopped = True
        if result is not None:
            told(result)
        if stopped or (result is not None and result.failed):
            raise SystemExit(1)


@acquire.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(config: Path, as_json: bool) -> None:
    """Print what the engine of CONFIG has found, fetched and refused and why, its rates and lag, and what is stuck."""
    with failing():
        with extras.needed("geodes-lab acquire"):
            from geodes_lab.acquisition import status as statuses
            from geodes_lab.acquisition.ledger.tables import Database
            from geodes_lab.acquisition.loading import load
        told = statuses.status(Database(load(config).state))
        click.echo(json.dumps(asdict(told), indent=1) if as_json else "\n".join(map(shown, str(told).splitlines())))


@acquire.command()
def schema() -> None:
    """Print the JSON schema of CONFIG, for editors."""
    with failing():
        with extras.needed("geodes-lab acquire"):
            from geodes_lab.acquisition import loading
        click.echo(json.dumps(loading.schema(), indent=1))


def _sentence(result: Result) -> str:
    parts = [f"{result.found} new", f"{result.catalogued} came into the catalogue ({result.bytes:,} bytes)"]
    counts = (
        (result.converted, "converted"),
        (result.postponed, "wait"),
        (result.refused, "refused"),
        (result.removed, "removed"),
    )
    parts += [f"{n} {what}" for n, what in counts if n]
    failed = "".join(f"\n{shown(source)}: {shown(why)}" for source, why in result.failed.items())
    return f"{', '.join(parts)}.{failed}"
