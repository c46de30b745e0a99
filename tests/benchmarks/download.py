"""gl.download beside EODAG and CDSETool, of the same products from the same server on loopback, 4 at the same time.

Ours verifies the MD5 of each product while it arrives, and writes it to the disk (fsync) before it gets its name. The
peers do neither; what both take for their files afterwards is a column of its own, since a user who wants the same has to
do it. The products are zips of random bytes. The server is a process of its own that sends files by sendfile. Each
measurement is a process of its own, with everything imported, in turn.
"""

from __future__ import annotations

import argparse
import hashlib
import http.server
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.data.stage import FOLDER
from tests.benchmarks.peers.download_peers import clocks

AT_ONCE = 4
PEERS = ("eodag==4.10.1", "cdsetool==0.3.3")
WHO = ("ours", "eodag", "cdsetool")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files with a strong ETag and ranges."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self._head(Path(self.directory) / self.path.lstrip("/"))

    def do_GET(self) -> None:
        path = Path(self.directory) / self.path.lstrip("/")
        self._head(path)
        self.wfile.flush()
        with path.open("rb") as file:
            self.connection.sendfile(file)

    def _head(self, path: Path) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/zip")
        self.send_header("Content-Length", str(path.stat().st_size))
        self.send_header("ETag", f'"{path.name}"')
        self.end_headers()


def serve(folder: str) -> None:
    """Serve a folder until the process is ended; print the port."""
    handler = type("Of", (Handler,), {"__init__": lambda self, *a: Handler.__init__(self, *a, directory=folder)})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    print(server.server_port, flush=True)
    server.serve_forever()


def products(count: int, size: int) -> tuple[Path, dict[str, str]]:
    """Write the products, once; give their folder, and the MD5 of each by name."""
    folder = FOLDER / f"downloads-{count}-{size}"
    note = folder / "md5.json"
    if not note.exists():
        folder.mkdir(parents=True, exist_ok=True)
        sums = {}
        for number in range(count):
            path = folder / f"P{number:03d}.zip"
            with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr("P.SAFE/image.jp2", random.Random(number).randbytes(size * 10**6))
            sums[path.stem] = hashlib.md5(path.read_bytes()).hexdigest()
        note.write_text(json.dumps(sums))
    return folder, json.loads(note.read_text())


def ours(url: str, sums: dict[str, str], sizes: dict[str, int], target: str) -> tuple[float, float]:
    """Wall and CPU seconds of gl.download, with the checksums."""
    import geodes_lab as gl

    items = []
    for name, md5 in sums.items():
        asset = {"href": f"{url}/{name}.zip", "type": "application/zip", "roles": ["data"]}
        asset |= {"file:size": sizes[name], "file:checksum": f"d50110{md5}"}
        items.append(
            {
                "type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": None, "links": [], "assets": {"product": asset},
                "properties": {"datetime": "2021-06-05T00:00:00Z"},
            }
        )  # fmt: skip
    gl.download(items[:1], f"{target}/first")  # imports and first uses
    began = clocks()
    report = gl.download(items, target, parallel=AT_ONCE)
    ended = clocks()
    assert all(f"MD5 {md5}" in o.evidence for o, md5 in zip(report.outcomes, sums.values(), strict=True))
    return ended[0] - began[0], ended[1] - began[1]


def verified(paths: list[Path], sums: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of what ours does besides: the MD5 of the files, and that they are on the disk."""

    def right(path: Path) -> bool:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            return hashlib.file_digest(file, "md5").hexdigest() == sums[path.stem]

    began = clocks()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert all(pool.map(right, paths))
    ended = clocks()
    return ended[0] - began[0], ended[1] - began[1]


def peers() -> Path | None:
    """The Python of an environment with the peers; None if they cannot be installed."""
    home, uv = FOLDER / "download-peers", Path(sys.prefix) / "bin" / "uv"
    python = home / "bin" / "python"
    commands = [[uv, "venv", "-q", "--allow-existing", home], [uv, "pip", "install", "-q", "--python", python, *PEERS]]
    return None if any(subprocess.run(command).returncode for command in commands) else python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=20)
    parser.add_argument("--size", type=int, default=100, help="MB of each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where to write; what was written is deleted")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    source, sums = products(options.products, options.size)
    sizes = {name: (source / f"{name}.zip").stat().st_size for name in sums}
    if options.case:
        print(*ours(options.case[0], sums, sizes, options.case[1]))
        return
    python, total = peers(), sum(sizes.values())
    who = WHO if python else WHO[:1]
    command = [sys.executable, "-m", __spec__.name, "--serve", str(source)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    took: dict[str, list[float]] = {name: [] for name in who}
    cpu: dict[str, list[float]] = {name: [] for name in who}
    checks: dict[str, list[tuple[float, float]]] = {name: [] for name in who[1:]}
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        for number in range(options.rounds):
            for name in who[:: -1 if number % 2 else 1]:
                with tempfile.TemporaryDirectory(dir=options.folder or FOLDER) as target:
                    case = json.dumps([name, url, list(sums), target, AT_ONCE])
                    run = (
                        [sys.executable, "-m", __spec__.name, *sys.argv[1:], "--case", url, target]
                        if name == "ours"
                        else [str(python), str(Path(__file__).with_name("peers") / "download_peers.py"), case]
                    )
                    text = subprocess.check_output(run, text=True, env=os.environ | {"HOME": target})
                    wall, used = map(float, text.split()[-2:])
                    took[name].append(wall)
                    cpu[name].append(used)
                    if name != "ours":
                        paths = [p for p in Path(target).rglob("*.zip") if p.stem in sums]
                        assert len(paths) == len(sums)
                        checks[name].append(verified(paths, sums))
                    shutil.rmtree(target, ignore_errors=True)
                    Path(target).mkdir()
                os.sync()  # what one has left to be written is not for the next to wait for
    finally:
        server.terminate()
        server.wait(10)
    report(total, took, cpu, checks)


def report(
    total: int, took: dict[str, list[float]], cpu: dict[str, list[float]], checks: dict[str, list[tuple[float, float]]]
) -> None:
    """Print the table, and the ratios: by time, and by CPU, which tells more where others work on the same cores."""
    versions = {"ours": version("geodes-lab"), **dict(p.split("==") for p in PEERS)}
    print(f"{total / 1e9:.2f} GB, {AT_ONCE} at the same time\n")
    print(
        "| | s, by round | median, MB/s | CPU s, median | MD5 and fsync of the files afterwards, s / CPU s |\n|---|---|---|---|---|"
    )
    middle = {who: (statistics.median(took[who]), statistics.median(cpu[who])) for who in took}
    both = {"ours": middle["ours"]}
    for who, (wall, used) in middle.items():
        check = "verified while it arrives"
        if who in checks:
            extra = [statistics.median(values) for values in zip(*checks[who], strict=True)]
            both[who] = wall + extra[0], used + extra[1]
            check = f"{extra[0]:.2f} / {extra[1]:.2f}"
        rounds = " ".join(f"{t:.2f}" for t in took[who])
        print(f"| {who} {versions[who]} | {rounds} | {total / wall / 1e6:.0f} | {used:.2f} | {check} |")
    for label, values in (("without any check", middle), ("with the same checks", both)):
        for unit, index in (("s", 0), ("CPU s", 1)):
            if others := {who: v[index] for who, v in values.items() if who != "ours"}:
                best = min(others, key=lambda who: others[who])
                print(f"the best peer, {best}, {label}: {others[best] / values['ours'][index]:.2f} × ours, in {unit}")


if __name__ == "__main__":
    main()
