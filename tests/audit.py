"""What is known to be wrong with the packages that a lock file names: ``python tests/audit.py requirements.lock …``, a part of ``make audit``.

pip-audit asks the index about each of them, and this says what came of it: which have a known vulnerability (then it exits with 1), which the
index does not know, and whether it knows anything at all. An index that is a mirror often has no advisories; from such a one "nothing found" means
nothing, so it is asked first about packages whose faults everybody knows.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from packaging.version import Version
from pip_audit._service import PyPIService
from pip_audit._service.interface import ResolvedDependency, ServiceError, SkippedDependency

INDEX = "https://pypi.org"
KNOWN_TO_BE_BAD = (("jinja2", "2.4.1"), ("pyyaml", "5.3"))
"""Old releases with published advisories: a source that has none of these has none at all."""
_AT_ONCE = 8
_GIVES_UP = 5  # failures, with no answer before, after which an index is taken for absent


@dataclass
class Findings:
    """What came of it; each list has ``name==version``, and a sentence after it where there is one."""

    vulnerable: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    clean: list[str] = field(default_factory=list)
    has_advisories: bool = False
    why: str = ""
    """Why no source could be asked."""


class Index(PyPIService):
    """An index, by pip-audit's own way of asking; it may be another one than PyPI, as far as that answers as PyPI does.

    Parameters
    ----------
    address
        Scheme and host.
    seconds
        For one answer.
    """

    def __init__(self, address: str = INDEX, seconds: int = 30) -> None:
        super().__init__(timeout=seconds)
        self.session = _Elsewhere(address.rstrip("/"))


class _Elsewhere(requests.Session):
    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def get(self, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        return super().get(url.replace(INDEX, self._address, 1), **options)


def packages(files: Iterable[Path]) -> list[tuple[str, str]]:
    """Names and versions of all lines, for whichever system and Python they are meant."""
    found = {m for path in files for m in re.findall(r"^([\w.-]+)(?:\[[^]]*])?==([^\s;\\]+)", path.read_text(), re.M)}
    return sorted(found)


def audit(wanted: list[tuple[str, str]], index: Index) -> Findings:
    """Ask about each, going on past whatever is not known or fails."""
    found = Findings()
    for name, version in KNOWN_TO_BE_BAD:
        kind, _ = _asked(index, name, version)
        found.has_advisories |= kind == "vulnerable"
    answers = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for begin in range(0, len(wanted), _AT_ONCE):
            part = wanted[begin : begin + _AT_ONCE]
            for (name, version), (kind, said) in zip(part, pool.map(lambda p: _asked(index, *p), part), strict=True):
                getattr(found, kind).append(f"{name}=={version}{f': {said}' if said else ''}")
                answers += kind != "failed"
            if not answers and len(found.failed) >= _GIVES_UP:
                found.failed += [
                    f"{n}=={v}: not asked, since nothing answered before" for n, v in wanted[begin + _AT_ONCE :]
                ]
                break
    if not answers:
        found.why = (
            f"the index does not answer ({found.failed[0].partition(': ')[2] if found.failed else 'nothing was asked'})"
        )
    elif not found.has_advisories and not found.vulnerable:
        bad = " and ".join(f"{n} {v}" for n, v in KNOWN_TO_BE_BAD)
        found.why = f"the index has no advisories, not even of {bad}, of which there are"
    return found


def _asked(index: Index, name: str, version: str) -> tuple[str, str]:
    try:
        dependency, known = index.query(ResolvedDependency(name=name, version=Version(version)))
    except (ServiceError, requests.RequestException, ValueError, KeyError) as error:
        return "failed", " ".join(str(error.__cause__ or error).split())[:200] or type(error).__name__
    if isinstance(dependency, SkippedDependency):
        return "unknown", ""
    said = "; ".join(f"{v.id}, mended in {', '.join(map(str, v.fix_versions)) or 'no release yet'}" for v in known)
    return ("vulnerable", said) if known else ("clean", "")


def report(found: Findings) -> list[str]:
    """Sentences."""
    number = sum(map(len, (found.vulnerable, found.unknown, found.failed, found.clean)))
    lines = []
    if found.vulnerable:
        lines += [
            f"Known vulnerabilities, in {len(found.vulnerable)} of {number} packages:",
            *_listed(found.vulnerable),
        ]
    if found.why:
        lines.append(
            f"No advisory source could be asked: {found.why}. So nothing is known of these {number} packages, good or bad."
        )
    elif not found.vulnerable:
        lines.append(f"No known vulnerability in {len(found.clean)} of {number} packages.")
    if found.unknown:
        lines.append(f"Not known to the index, so not looked at ({len(found.unknown)}):")
        lines += _listed(textwrap.wrap(", ".join(found.unknown), 140, break_on_hyphens=False))
    if found.failed:
        lines += [f"Asked without an answer ({len(found.failed)}):", *_listed(found.failed[:20])]
        lines += [f"    and {len(found.failed) - 20} more"] if len(found.failed) > 20 else []
    return lines


def _listed(what: list[str]) -> list[str]:
    return [f"    {line}" for line in what]


def main(arguments: list[str] | None = None) -> int:
    """Ask, say, and exit with 1 where a vulnerability is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", nargs="+", type=Path, help="lock files: name==version, a line each")
    parser.add_argument("--index", default=INDEX, help="scheme and host of an index that answers as PyPI's does")
    options = parser.parse_args(arguments)
    found = audit(packages(options.files), Index(options.index))
    print("\n".join(report(found)))
    return bool(found.vulnerable)


if __name__ == "__main__":
    sys.exit(main())
