"""What an engine acquires: the settings of ``geodes-lab acquire``, each with its type; an unknown key is refused."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from geodes_lab.catalog.catalogue import named
from geodes_lab.credentials.secret import Secret
from geodes_lab.errors import GeodesError
from geodes_lab.policy.units import Bytes, Seconds

_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9._/-]*))?")
CDSE_DOWNLOAD = "https://download.dataspace.copernicus.eu/odata/v1"
CDSE_IDENTITY = "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"


def _instant(value: Any) -> Any:
    """A day of YAML is its first moment; an instant without an offset is UTC."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


Kind = Literal[
    "collection",
    "product type",
    "baseline",
    "format",
    "address",
    "arrival",
    "deletion",
    "refusal",
    "outage",
    "recovery",
]
"""Of news."""
Duration = Annotated[Seconds, BeforeValidator(Seconds.read), WithJsonSchema({"type": "string", "examples": ["90 min"]})]
Size = Annotated[Bytes, BeforeValidator(Bytes.read), WithJsonSchema({"type": "string", "examples": ["4 GiB"]})]
Instant = Annotated[datetime, BeforeValidator(_instant)]


class Part(BaseModel):
    """A part of the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Reference(Part):
    """Where a secret is: the secret itself is no setting."""

    environment: str | None = Field(
        default=None, pattern=f"^{_VARIABLE}$", description="The name of an environment variable."
    )
    file: Path | None = Field(default=None, description="A file that holds only the secret.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.environment is None) == (self.file is None):
            raise ValueError("it names one place of the secret, environment: or file:, and never the secret itself")
        return self

    def read(self, what: str) -> Secret:
        """Read the secret.

        Raises
        ------
        GeodesError
            If it is not there; the sentence does not show it.
        """
        import os

        try:
            text = os.environ.get(self.environment, "") if self.environment else Path(self.file or "").read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise GeodesError(f"{what} cannot be read from the file {self.file} ({type(error).__name__}).") from None
        if not text.strip():
            raise GeodesError(f"{what} is not in {self.environment or self.file}: set it there.")
        return Secret({"value": text.strip()})


class Login(Part):
    """A user's name and password, each by reference."""

    user: Reference
    password: Reference


class Cdse(Part):
    """The Copernicus Data Space Ecosystem, by OData."""

    kind: Literal["cdse"]
    address: str = Field(default="https://catalogue.dataspace.copernicus.eu/odata/v1", description="Its OData service.")
    download: str = Field(default=CDSE_DOWNLOAD, description="Where products come from.")
    identity: str = Field(default=CDSE_IDENTITY, description="Where a login is exchanged for a token.")
    login: Login | None = Field(default=None, description="Needed to download.")
    recall: bool = Field(default=True, description="Whether products on tape are ordered, once a day at most.")
    page: int = Field(default=100, ge=1, le=1000, description="Products in an answer.")
    window: int = Field(default=10_000, ge=1, le=10_000, description="Products that the service pages through at most.")
    subscription: str | None = Field(
        default=None,
        pattern=r"^[0-9a-fA-F-]{36}$",
        description="The id of a pull subscription: it is read and acknowledged.",
    )

    @field_validator("address", "download", "identity")
    @classmethod
    def _web(cls, value: str) -> str:
        return _address(value)


class Catalogue(Part):
    """GEODES, or another catalogue that gl.search knows by the name of its profile, such as CDSE's STAC."""

    kind: Literal["catalogue"]
    profile: str = Field(description="Its name in geodes_lab.catalog.profiles.")
    check: int = Field(
        default=500,
        ge=0,
        le=100_000,
        description="Known products that each look asks for again, in turn: what is gone is told. 0: none.",
    )
    login: Login | None = Field(default=None, description="Of an account at CDSE, if products come from there.")
    download: str = Field(default=CDSE_DOWNLOAD, description="The begin of addresses that get the account's token.")
    identity: str = Field(default=CDSE_IDENTITY, description="Where a login is exchanged for a token.")

    @field_validator("download", "identity")
    @classmethod
    def _web(cls, value: str) -> str:
        return _address(value)


class Folder(Part):
    """A folder of products that somebody else fills."""

    kind: Literal["folder"]
    path: Path
    settled: Duration = Field(
        default=Seconds(60), description="A file that changed later may still be growing: it waits."
    )


class PlugIn(Part):
    """A source of another package, an entry point of the group ``geodes_lab.sources``."""

    kind: Literal["plug-in"]
    name: str = Field(description="The name of the entry point.")
    settings: dict[str, Any] = Field(default_factory=dict, description="What the plug-in takes.")


Source = Annotated[Cdse | Catalogue | Folder | PlugIn, Field(discriminator="kind")]


class Conversion(Part):
    """Bands of each product as cloud-optimised GeoTIFFs beside it, with the same numbers."""

    bands: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] | None = Field(
        default=None, min_length=1, description="By any of their names, such as red; all that have a map grid, if none."
    )


class Wanted(Part):
    """Which products of a source come into a collection."""

    source: str = Field(description="One of sources.")
    upstream: str | None = Field(default=None, description="The collection's name at the source, such as SENTINEL-2.")
    product_type: str | None = Field(default=None, description="Such as S2MSI1C.")
    cloud_cover: float | None = Field(default=None, ge=0, le=100, description="The highest cloud cover, in percent.")
    names: str | None = Field(default=None, description="Only products whose name begins so.")
    title: str | None = Field(default=None, description="The collection's title in the catalogue.")
    convert: Conversion | None = Field(
        default=None, description="Products are converted when they are in the catalogue; {} converts all bands."
    )


class Region(Part):
    """Where: a box in degrees, or a file with shapes."""

    bbox: tuple[float, float, float, float] | None = Field(default=None, description="West, south, east, north.")
    file: Path | None = Field(default=None, description="A GeoJSON file.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.bbox is None) == (self.file is None):
            raise ValueError("it has either bbox: or file:")
        if self.bbox is not None:
            west, south, east, north = self.bbox
            if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
                raise ValueError(
                    "its box is west, south, east, north in degrees, west less than east (a region across the date "
                    "line is a file with two shapes)"
                )
        return self


class Period(Part):
    """When the acquisitions begin."""

    start: Instant | None = None
    end: Instant | None = None

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.start and self.end and self.end <= self.start:
            raise ValueError("its end is not after its start")
        return self


class Schedule(Part):
    """How often the sources are looked at."""

    every: Duration = Field(default=Seconds(600), description="Time between two looks.")
    overlap: Duration = Field(
        default=Seconds(3600), description="What was published so shortly before the last look is asked anew."
    )
    retry: Duration = Field(default=Seconds(300), description="Before the second attempt; then always twice as long.")
    attempts: int = Field(default=6, ge=1, le=100, description="Attempts before a product is refused.")
    lease: Duration = Field(default=Seconds(300), description="Without a sign of life, another engine takes over.")

    @field_validator("every", "lease")
    @classmethod
    def _positive(cls, value: Seconds) -> Seconds:
        if value < 1:
            raise ValueError("it is at least 1 s")
        return value


class Retention(Part):
    """What is removed from the datalake, and when. Without a time, nothing is."""

    superseded: Duration | None = Field(
        default=None, description="What a newer processing supersedes, after this time."
    )


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


class Webhook(Part):
    """A server that is told the news."""

    address: str = Field(description="By https, or on this machine.")
    secret: Reference = Field(
        description="Signs what is sent; whsec_ and base64, or any text of 16 characters or more."
    )
    kinds: frozenset[Kind] | None = Field(default=None, description="Of news; all, if none is named.")

    @field_validator("address")
    @classmethod
    def _private(cls, value: str) -> str:
        from geodes_lab.credentials.origin import origin

        server = origin(value)
        if server is None or "#" in value or not (server.scheme == "https" or server.is_loopback):
            raise ValueError("address begins with https:// (or http:// and this machine), and has no name or password")
        return value


class Config(Part):
    """The settings of an engine."""

    version: Literal[1]
    sources: dict[str, Source] = Field(min_length=1)
    collections: dict[str, Wanted] = Field(min_length=1)
    destination: Destination
    catalogue: Path = Field(description="The folder of the catalogue: stac-geoparquet, which the lab's service serves.")
    state: State
    region: Region | None = None
    period: Period = Period()
    schedule: Schedule = Schedule()
    retention: Retention = Retention()
    parallel: int = Field(default=4, ge=1, le=32, description="Products at the same time.")
    room: Size = Field(default=Bytes(2**30), description="What stays free on each disk.")
    metrics: Path | None = Field(default=None, description="A file for Prometheus' node exporter; it ends in .prom.")
    metrics_listen: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f.:\[\]]{2,45}:[0-9]{1,5}$",
        description="An address such as 127.0.0.1:9109, at which Prometheus finds /metrics while --watch runs.",
    )
    news: Path | None = Field(default=None, description="A folder for the feeds news.atom and news.json.")
    webhook: Webhook | None = Field(default=None, description="A server that is told the news too.")

    @field_validator("sources", "collections")
    @classmethod
    def _named(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            try:
                named(name)
            except GeodesError:
                raise ValueError(f"{name!r} is no name: use letters, digits, - and _") from None
        return value

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name, wanted in self.collections.items():
            if wanted.source not in self.sources:
                raise ValueError(
                    f"collections.{name}.source is {wanted.source!r}, and sources has {', '.join(sorted(self.sources))}"
                )
        return self


def _address(value: str) -> str:
    from geodes_lab.credentials.origin import origin

    if origin(value) is None or "?" in value or "#" in value:
        raise ValueError(f"{value!r} is no address of a web server")
    return value.rstrip("/")
