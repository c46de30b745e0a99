"""An assistant of the tests: the SDK's own client, and `geodes-lab mcp` as it starts it, over pipes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

if TYPE_CHECKING:  # a second of each process that collects tests
    from mcp import Client

PROGRAM = str(Path(sys.executable).with_name("geodes-lab"))


def lab(sample: Path, home: Path, **more: str) -> dict[str, str]:
    """The environment of a person who has the sample as catalogue and datalake, and a machine that may be busy."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "DASK_GEODES_LAB__CATALOG__PROFILES__LOCAL__URL": str(sample / "catalog" / "catalog.json"),
        "DASK_GEODES_LAB__DATALAKE__MIRROR": str(sample / "datalake"),
        "DASK_GEODES_LAB__DATALAKE__ENDPOINT": "http://127.0.0.1:9",
        "DASK_GEODES_LAB__CACHE__FOLDER": str(home / "cache"),
        "DASK_GEODES_LAB__REPLICA__FOLDER": str(home / "replicas"),
        "DASK_GEODES_LAB__ASSISTANT__SECONDS": "250",
        **more,
    }


@dataclass(frozen=True)
class Assistant:
    """A client that talks to the program."""

    portal: BlockingPortal
    client: Client

    def do(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the client."""
        return self.portal.call(lambda: getattr(self.client, method)(*arguments, **options))

    def ask(self, tool: str, **arguments: Any) -> str:
        """Call a tool; gives its answer."""
        result = self.do("call_tool", tool, arguments)
        assert not result.is_error, result.content[0].text
        return result.content[0].text

    def refused(self, tool: str, **arguments: Any) -> str:
        """Call a tool that refuses; gives the sentence."""
        result = self.do("call_tool", tool, arguments)
        assert result.is_error, result.content[0].text
        return result.content[0].text


@contextmanager
def assistant(
    environment: Mapping[str, str], cwd: Path, program: str = PROGRAM, *arguments: str
) -> Iterator[Assistant]:
    """Start the program in a folder and talk to it; what it says on standard error is in ``mcp.log`` there."""
    from mcp import Client, StdioServerParameters, stdio_client

    server = StdioServerParameters(command=program, args=list(arguments or ("mcp",)), env=dict(environment), cwd=cwd)
    with start_blocking_portal() as portal, (cwd / "mcp.log").open("w") as log:
        client = Client(stdio_client(server, errlog=log))
        with portal.wrap_async_context_manager(client) as connected:
            yield Assistant(portal, connected)
