"""Mutation fuzzing of whole products of every family; `make fuzz-products MINUTES=60`.

    python -m tests.fuzz_products [--minutes 60] [--cases N] [--seed N] [--family sentinel2-l1c …] [--replay FAMILY:SEED]

Each product is opened in a child (`sandboxed`): a signal, another error than the one class, 20 s of processor, 2 GiB of memory, or a
file that was opened outside of the product is a finding. It is printed with its family and seed, by which ``--replay`` makes it
again (and keeps it). What C libraries open is seen by inotify, on files that the hostile products name.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import TOP
from tests.support.products.mutations import FAMILIES, Maker, lay
from tests.support.products.sandboxed import Result, Sandbox

VAGUE = "because its metadata are damaged"
_READS = 0x01 | 0x20  # IN_ACCESS, IN_OPEN


class Canary:
    """Tells who reads files that nobody may read, whichever library does so."""

    def __init__(self, folder: Path) -> None:
        self.folder = lay(folder)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._watch = self._libc.inotify_init1(os.O_NONBLOCK)
        for path in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
            if self._libc.inotify_add_watch(self._watch, os.fsencode(path), _READS) < 0:
                raise OSError(ctypes.get_errno(), "inotify")

    def read(self) -> list[str]:
        """The files that were opened since the last call."""
        found: list[str] = []
        while True:
            try:
                data = os.read(self._watch, 65536)
            except BlockingIOError:
                return sorted(set(found))
            while data:
                _, mask, _, length = struct.unpack_from("iIII", data)
                name = data[16 : 16 + length].rstrip(b"\0").decode(errors="replace")
                data = data[16 + length :]
                if name and not mask & 0x40000000:  # a folder that is listed reads no file
                    found.append(f"{self.folder.name}/{name}")


@dataclass
class Finding:
    """What a product did that none may do."""

    family: str
    seed: int
    what: str
    problems: list[str]

    def __str__(self) -> str:
        told = "\n    ".join(line for p in self.problems for line in p.splitlines()[-14:])
        return f"FOUND {self.family}:{self.seed} ({self.what})\n    {told}"


class Fuzz:
    """Makes products and opens them, one after the other; a context.

    Parameters
    ----------
    sample
        The sample datalake.
    """

    def __init__(self, sample: Path) -> None:
        self._sample = sample
        self.tried: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.vague: Counter[str] = Counter()
        """Sentences for what no family has foreseen, which could be better ones."""
        self.most = {"cpu": 0.0, "rss": 0}

    def __enter__(self) -> Fuzz:
        self._work = Path(tempfile.mkdtemp(prefix="geodes-fuzz-"))
        self._canary = Canary(self._work / "canary")
        self._maker = Maker(self._sample, self._canary.folder)
        self._sandbox = Sandbox().__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.__exit__()
        shutil.rmtree(self._work, ignore_errors=True)

    def case(self, family: str, seed: int, keep: Path | None = None) -> tuple[Finding | None, Result]:
        """Make one product and open it; with ``keep`` it is left there."""
        folder = self._work / "case"
        (folder / "product").mkdir(parents=True)
        try:
            try:
                path, what = self._maker.make(family, seed, folder / "product")
            except Exception as error:  # some mutations of mutations cannot be made
                self.outcomes["not made"] += 1
                return None, Result("not made", repr(error), 0, 0)
            if keep:
                shutil.copytree(folder / "product", keep, symlinks=True, dirs_exist_ok=True)
            self._canary.read()
            result = self._sandbox.open(path, folder)
            problems = result.problems + [f"opened {name}" for name in self._canary.read()]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.tried[family] += 1
        self.outcomes[result.outcome] += 1
        if VAGUE in result.text:
            self.vague[result.text.partition(VAGUE)[2][:60]] += 1
        self.most = {"cpu": max(self.most["cpu"], result.cpu), "rss": max(self.most["rss"], result.rss)}
        return (Finding(family, seed, what, problems) if problems else None), result

    def run(self, families: Iterable[str], seed: int, cases: int | None, until: float | None) -> list[Finding]:
        """Try families in turn with seeds that follow each other, until so many cases or that time."""
        found: list[Finding] = []
        families, number = list(families), 0
        while (cases is None or number < cases) and (until is None or time.time() < until):
            finding, _ = self.case(families[number % len(families)], seed + number // len(families))
            if finding:
                found.append(finding)
                print(finding, flush=True)
            number += 1
            if number % 200 == 0:
                print(f"{number} products, {len(found)} findings, {sum(self.vague.values())} not foreseen", flush=True)
        return found


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(description="Mutation fuzzing of whole products.")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--family", nargs="*", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--replay", nargs="*", default=[], metavar="FAMILY:SEED")
    options = parser.parse_args()
    sample = next(iter(sorted((TOP / "build").glob("sample-*"))), None)
    if sample is None:
        print("There is no sample datalake in build/: run `make test` or `geodes-lab sample` first.")
        return 2
    begun = time.time()
    with Fuzz(sample) as fuzz:
        if options.replay:
            found = []
            for one in options.replay:
                family, _, seed = one.partition(":")
                kept = Path("build/fuzz-products") / f"{family}-{seed}"
                finding, result = fuzz.case(family, int(seed), kept)
                print(
                    finding or f"{one}: {result.outcome} {result.text.strip()[-300:]}",
                    f"\n    {result.cpu:.1f} s, {result.rss >> 20} MiB, kept in {kept}",
                )
                found += [finding] if finding else []
        else:
            print(f"seed {options.seed}", flush=True)
            until = begun + 60 * options.minutes if options.minutes else None
            found = fuzz.run(options.family, options.seed, options.cases or (None if until else 100), until)
        print(f"{sum(fuzz.tried.values())} products in {time.time() - begun:.0f} s: {dict(fuzz.tried)}")
        print(
            f"{dict(fuzz.outcomes)}; at most {fuzz.most['cpu']:.1f} s of processor, {fuzz.most['rss'] / 2**20:.0f} MiB"
        )
        print(f"sentences for what was not foreseen: {sum(fuzz.vague.values())} {fuzz.vague.most_common(12)}")
        print(
            f"{len(found)} findings"
            + "".join(f"\n  {f.family}:{f.seed} {f.problems[0].splitlines()[-1][:160]}" for f in found)
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
