"""Where products are stored, and what the engine remembers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from geodes_lab.acquisition.settings.parts import Part, Reference

_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9._/-]*))?")


class Postgresql(Part):
    """A database for several engines."""

    host: str
    port: int = Field(default=5432, ge=1, le=65535)
    database: str
    user: str
    password: Reference | None = None
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] | None = Field(
        default=None,
        description="How the connection is protected. By default verify-full, and prefer to this machine itself.",
    )
    sslrootcert: Path | None = Field(
        default=None, description="A file with the authority of the server's certificate, if the system has it not."
    )


class State(Part):
    """What the engine remembers."""

    folder: Path = Field(description="A folder of this machine: products on their way, and the SQLite database.")
    postgresql: Postgresql | None = Field(
        default=None, description="Instead of SQLite, where several engines work together."
    )


class Destination(Part):
    """Where products are stored: a folder, or a bucket of the lab's datalake (geodes_lab.datalake)."""

    folder: Path | None = None
    s3: str | None = Field(default=None, description="s3://bucket or s3://bucket/prefix.")
    address: str | None = Field(
        default=None, description="The begin of addresses in the catalogue, if not where it is."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.folder is None) == (self.s3 is None):
            raise ValueError("it has either folder: or s3:")
        if self.s3 is not None and (not _BUCKET.fullmatch(self.s3) or "//" in self.s3[5:] or ".." in self.s3):
            raise ValueError(f"s3 is {self.s3!r}, not s3://bucket or s3://bucket/prefix")
        if self.address is not None and not re.match(r"(?:s3|https?|file)://", self.address):
            raise ValueError("address begins with s3://, https:// or file://")
        return self
