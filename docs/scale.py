"""What a thousand people and 43 million products need.

The calculation behind docs/operations/scale.md, which can be repeated with other numbers.

``python docs/scale.py`` updates the tables of docs/operations/scale.md; ``--check`` says whether they are up to date;
``python docs/scale.py --set people_at_once=0.5 --set node_price=2`` shows the results of other assumptions.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from math import ceil
from pathlib import Path

PAGE = Path(__file__).with_name("operations") / "scale.md"


@dataclass(frozen=True)
class Input:
    """A number, and its origin."""

    value: float
    what: str
    source: str
    """`measured: …`, with the command; `assumed`, with the reason; `given`."""


HUB = "measured: `tests/benchmarks/services/footprint.py --users 1000`"
READ = "measured: `tests/benchmarks/read.py --dates 20`"
INPUTS = {
    "people": Input(1000, "people", "given"),
    "items": Input(43e6, "products in the catalogue", "given"),
    "people_at_once": Input(0.3, "part of the people whose servers run on a working day", "assumed"),
    "small": Input(0.70, "of servers: S (2 cores, 4 GiB)", "assumed"),
    "medium": Input(0.20, "of servers: M (4 cores, 16 GiB)", "assumed"),
    "large": Input(0.08, "of servers: L (16 cores, 64 GiB)", "assumed"),
    "gpu": Input(0.02, "of servers: GPU (8 cores, 32 GiB, 1 GPU)", "assumed"),
    "reserve": Input(0.25, "part of a server's cores that is reserved", "given: `servers.reserve`"),
    "clusters": Input(
        0.10, "of servers have a cluster of the gateway, of 4 workers (2 cores, 8 GB) and a scheduler", "assumed"
    ),
    "busy": Input(0.05, "of servers' cores read and decode at a time", "assumed"),
    "busy_workers": Input(0.5, "of workers' cores read and decode at a time", "assumed"),
    "node_cores": Input(32, "cores of a node", "assumed"),
    "node_memory": Input(128, "GiB of a node", "assumed"),
    "node_usable": Input(0.9, "of a node is left for pods", "assumed"),
    "gpus_per_node": Input(4, "GPUs of a GPU node", "assumed"),
    "node_price": Input(1.20, "€ an hour for a node", "assumed: no price of CNES is known"),
    "gpu_price": Input(6.00, "€ an hour for a GPU node", "assumed"),
    "home": Input(50, "GiB of a home", "given: `singleuser.storage.capacity`"),
    "storage_price": Input(0.08, "€ a GiB and month for homes", "assumed"),
    "start": Input(28.7, "ms of the hub's CPU for a start", HUB),
    "check": Input(2.9, "ms of the hub's CPU to say whose token it is, with the groups", HUB),
    "activity": Input(6.7, "ms of the hub's CPU for a report of activity", HUB),
    "looks": Input(0.016, "of a core: the looks of the accounts and the culler at 1 000 servers", HUB),
    "checks": Input(
        0.22,
        "questions a minute of services for a server's token: the gate's for those that read (0.2 of them), the "
        "culler's once an hour",
        "assumed",
    ),
    "every": Input(300, "s between two reports of activity of a server", "given: JupyterHub"),
    "hub_most": Input(0.7, "of its one core the hub may have", "assumed"),
    "window": Input(45.1, "requests a second that two cores make, reading a window of 20 dates (240 in 5.32 s)", READ),
    "window_bytes": Input(38.7, "MB a second of it (205.9 in 5.32 s)", READ),
    "gate": Input(319, "MB/s through one gate, ranges of 1 MiB", "measured: `tests/benchmarks/services/hub.py`"),
    "gates": Input(60, "gates at most", "given: `services.data.most` of `values-cnes.yaml`"),
    "lab_requests": Input(0.5, "requests a second of an open JupyterLab", "assumed"),
    "proxy": Input(
        1820, "requests a second through the proxy", "measured: Node's configurable-http-proxy 5.3, two cores"
    ),
    "searches": Input(1, "searches a minute and person", "assumed"),
    "answers": Input(
        18.2,
        "answers a second of the catalogue, 100 Items each, on two cores that others used too",
        "measured: `tests/benchmarks/services/catalogue.py`",
    ),
    "item_bytes": Input(
        236, "bytes of an Item in the harvested files", "measured: `tests/benchmarks/catalogue.py`, 10 million"
    ),
    "harvest": Input(6297, "Items a second that a harvest takes in", "measured: the same"),
    "page": Input(80, "Items of a page of the service", "given: its documented largest"),
    "page_time": Input(0.5, "s for a page", "assumed: never asked from here"),
}


@dataclass(frozen=True)
class Need:
    """The needs of a number of simultaneous servers."""

    servers: int
    rows: tuple[tuple[str, str], ...]
    hub: float
    """Fraction of the hub's one core."""
    megabytes: float
    """Bytes per second through the gates."""
    users_nodes: int
    cost: float


def need(v: dict[str, float], servers: int) -> Need:
    """Calculate the needs of a number of simultaneous servers."""
    plain = {"small": (2, 4), "medium": (4, 16), "large": (16, 64)}
    cores = servers * sum(v[k] * c for k, (c, _) in plain.items())
    memory = servers * sum(v[k] * m for k, (_, m) in plain.items())
    clusters = servers * v["clusters"]
    dask_cores, dask_memory = clusters * 8.5, clusters * 34 / 1.074
    nodes_by_memory = (memory + dask_memory) / (v["node_memory"] * v["node_usable"])
    nodes_by_cores = (cores * v["reserve"] + dask_cores) / (v["node_cores"] * v["node_usable"])
    gpu_nodes = ceil(servers * v["gpu"] / v["gpus_per_node"])
    nodes = ceil(max(nodes_by_memory, nodes_by_cores))
    reading = (cores * v["busy"] + clusters * 8 * v["busy_workers"]) / 2  # pairs of cores
    megabytes = reading * v["window_bytes"]
    hub = servers * (v["checks"] / 60 * v["check"] + v["activity"] / v["every"]) / 1000 + v["looks"] * servers / 1000
    core_nodes = 3
    cost = (
        (nodes + core_nodes) * v["node_price"]
        + gpu_nodes * v["gpu_price"]
        + v["people"] * v["home"] * v["storage_price"] / 730
    )
    rows = (
        ("pods of people, of Dask", f"{servers} + {clusters * 5:.0f}"),
        ("memory that is reserved", f"{memory / 1024:.1f} TiB + {dask_memory / 1024:.1f} TiB of Dask"),
        ("cores that are reserved", f"{cores * v['reserve']:.0f} + {dask_cores:.0f} of Dask"),
        ("nodes by memory / by cores", f"{nodes_by_memory:.0f} / {nodes_by_cores:.0f}"),
        ("nodes: for people, for GPUs, for the lab itself", f"{nodes} + {gpu_nodes} + {core_nodes}"),
        ("the hub's one core, without starts", f"{hub:.0%}"),
        (
            "of that: whose token it is",
            f"{servers * v['checks'] / 60:.1f} a second, {servers * v['checks'] / 60 * v['check'] / 1000:.1%}",
        ),
        (
            "all start within an hour",
            f"{servers / 3600:.2f} a second, {servers / 3600 * v['start'] / 1000:.1%} of the core",
        ),
        (
            "all start within five minutes",
            f"{servers / 300:.1f} a second, {servers / 300 * v['start'] / 1000:.0%} of the core",
        ),
        ("the hub's database, writes a second", f"{servers / v['every']:.1f} of activity"),
        ("S3: requests a second; through the gates", f"{reading * v['window']:.0f}; {megabytes / 1000:.2f} GB/s"),
        ("gates for that", f"{ceil(megabytes / v['gate'])}"),
        ("the proxy, requests a second", f"{servers * v['lab_requests']:.0f} of {v['proxy']:.0f}"),
        ("the catalogue, searches a second", f"{servers * v['searches'] / 60:.1f} of {v['answers']:.0f}"),
        ("cost of an hour; of a server's hour", f"{cost:.0f} €; {cost / servers:.2f} €"),
    )
    return Need(servers, rows, hub, megabytes, nodes, cost)


def breaks(v: dict[str, float]) -> list[tuple[float, str, str]]:
    """Return at how many simultaneous servers each part is at its limit, the first one first."""
    one = need(v, 1000)
    return sorted(
        [
            (
                1000 * v["gates"] * v["gate"] / one.megabytes,
                f"{v['gates']:.0f} gates (`services.data.most`)",
                "more of them: they keep nothing; then the datalake's own network",
            ),
            (
                1000 * v["hub_most"] / one.hub,
                "the hub's one core",
                "nothing but asking it less: activity is reported less often, the gate remembers a token for longer "
                "(`Hub(remembers=…)`)",
            ),
            (
                v["proxy"] / v["lab_requests"],
                "the proxy",
                "an ingress that knows the hub's ways itself (traefik proxy)",
            ),
            (
                v["answers"] * 60 / v["searches"],
                "the catalogue's one pod",
                "searches are read from files, so more pods would do; its results are written by one",
            ),
            (
                1000 * v["hub_most"] * 300 / (1000 * v["start"] / 1000),
                "starts within five minutes, the hub otherwise idle",
                "`concurrentSpawnLimit` makes them wait",
            ),
        ]
    )


def tables(v: dict[str, float]) -> str:
    """Return all tables of the page."""
    day, all_ = need(v, round(v["people"] * v["people_at_once"])), need(v, round(v["people"]))
    lines = [f"| | {day.servers} servers at once | {all_.servers} at once |", "|---|---|---|"]
    lines += [f"| {name} | {a} | {b} |" for (name, a), (_, b) in zip(day.rows, all_.rows, strict=True)]
    catalogue = v["items"] * v["item_bytes"] / 2**30
    lines += [
        "", "| the catalogue | |", "|---|---|",
        f"| files of {v['items'] / 1e6:.0f} million Items | {catalogue:.1f} GiB |",
        f"| the first harvest, if the service gives what is taken in | {v['items'] / v['harvest'] / 3600:.1f} h |",
        f"| page after page of {v['page']:.0f}, {v['page_time']:g} s each | "
        f"{v['items'] / v['page'] * v['page_time'] / 3600:.0f} h |",
        "", "| servers at once | what is full then | what helps |", "|---|---|---|",
    ]  # fmt: skip
    lines += [f"| {number:.0f} | {what} | {remedy} |" for number, what, remedy in breaks(v)]
    lines += ["", "| | what | where from |", "|---|---|---|"]
    lines += [
        f"| {i.value if i.value < 1e6 else int(i.value):{'g' if i.value < 1e6 else ','}} | {i.what} | {i.source} |"
        for i in INPUTS.values()
    ]
    return "\n".join(lines)


def written(page: str, made: str) -> str:
    """Return the page with its tables updated, each between its marks."""
    for number, table in enumerate(made.split("\n\n")):
        start, end = f"<!-- table {number} -->", f"<!-- end {number} -->"
        before, after = page[: page.index(start) + len(start)], page[page.index(end) :]
        page = f"{before}\n\n{table}\n\n{after}"
    return page


def main() -> int:
    """Write, check, or show."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="say whether the page is as it would be written")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="another number; the tables are shown, not written",
    )
    options = parser.parse_args()
    v = {name: i.value for name, i in INPUTS.items()}
    for text in options.set:
        name, _, number = text.partition("=")
        if name not in v:
            parser.error(f"there is no {name}: there are {', '.join(v)}")
        v[name] = float(number)
    if options.set:
        print(tables(v))
        return 0
    page = PAGE.read_text()
    new = written(page, tables(v))
    if options.check:
        return int(new != page)
    PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
