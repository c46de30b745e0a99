"""What a source says of one product: that it is there, or that it is there no longer."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from geodes_lab.errors import GeodesError
from geodes_lab.storage import multihash
from geodes_lab.util import instant


@dataclass(frozen=True)
class Publication:
    """One product as a source has it now."""

    id: str
    """The source's own id; it may publish the same product under another one."""
    name: str
    """As the source calls it."""
    published: datetime
    hrefs: tuple[str, ...]
    """Where it can be fetched, in order of preference."""
    size: int | None = None
    """In bytes, if it is known."""
    checksums: tuple[str, ...] = ()
    """Multihashes, as far as the source publishes any."""
    changed: str = ""
    """Tells two versions under one id apart, where there is no checksum."""
    properties: dict[str, Any] = field(default_factory=dict)
    """Of its Item, in STAC's terms."""
    geometry: dict[str, Any] | None = None
    is_online: bool = True
    """False: it is on tape, and has to be asked for first."""

    def __post_init__(self) -> None:
        texts = (self.id, self.name, self.changed, *self.hrefs, *self.checksums)
        if not all(isinstance(t, str) for t in texts) or not self.id or len(self.id) > 500:
            raise GeodesError(
                f"A product of a source has no valid id or name ({str(self.name)[:100]!r}): it is refused."
            )
        if self.size is not None and (isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 0):
            raise GeodesError(f"{self.name} has the size {self.size!r}, which is no number of bytes: it is refused.")

    @property
    def revision(self) -> str:
        """Tells versions under one id apart: by checksum, else by size and date of change."""
        known = sorted(filter(None, map(multihash.parse, self.checksums)))
        return "+".join(f"{c.algorithm}:{c.digest}" for c in known) or f"{self.size}/{self.changed}"

    def is_like(self, other: Publication) -> bool | None:
        """Whether both have the same bytes; None: nothing that both publish says so."""
        if self.size is not None and other.size is not None and self.size != other.size:
            return False
        mine = dict(c for c in map(multihash.parse, self.checksums) if c)
        theirs = dict(c for c in map(multihash.parse, other.checksums) if c)
        both = mine.keys() & theirs.keys()
        return all(mine[k] == theirs[k] for k in both) if both else None

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps({**asdict(self), "published": instant.text(self.published.astimezone(UTC))})

    @classmethod
    def of(cls, text: str) -> Publication:
        """Read what `text` wrote."""
        parts = json.loads(text)
        parts["published"] = datetime.fromisoformat(parts["published"])
        return cls(**{**parts, "hrefs": tuple(parts["hrefs"]), "checksums": tuple(parts["checksums"])})


@dataclass(frozen=True)
class Withdrawal:
    """A product that a source has no longer."""

    id: str
    name: str
    when: datetime
    why: str = ""
    """As the source says it."""


@dataclass(frozen=True)
class Page:
    """What a source answered to one question."""

    published: tuple[Publication, ...] = ()
    withdrawn: tuple[Withdrawal, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    """Names of products that it described in a way that is not understood, each with a sentence."""
    position: str = ""
    """Where the next look begins, once this page is recorded; empty: where the last one began."""
    collections: tuple[str, ...] = ()
    """All that the source has, if it was asked."""
    token: str = ""
    """What the source wants to hear when the page is recorded; empty: nothing."""
