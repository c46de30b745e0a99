"""``geodes-lab mcp``."""

from __future__ import annotations

import json
import sys

import click

from geodes_lab import extras
from geodes_lab.cli.arguments import failing


@click.command()
@click.option("--config", is_flag=True, help="Print what an assistant's program needs to start it, as JSON, and end.")
def mcp(config: bool) -> None:
    """Answer an assistant (Model Context Protocol), which starts this by itself.

    It searches, opens lazily, plans, and reads the documentation with your own rights. It changes nothing.

    Example: geodes-lab mcp --config > .mcp.json
    """
    from geodes_lab.assistant import permission

    with failing():
        permission.join_server()  # before anything reads settings
        permission.check()
        if config:
            from geodes_lab.assistant import declaration

            click.echo(json.dumps(declaration.for_clients(), indent=1))
            return
        with extras.needed("geodes-lab mcp"):
            from geodes_lab.assistant import server
        if sys.stdin.isatty():
            click.echo("This waits for an assistant's program, which starts it by itself: Ctrl-C ends it.", err=True)
        server.run()
