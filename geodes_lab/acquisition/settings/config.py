"""The whole settings of an engine, with how often it works and whom it tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from geodes_lab.acquisition.settings.parts import Duration, Part, Reference, Size
from geodes_lab.acquisition.settings.sources import Source
from geodes_lab.acquisition.settings.storing import Destination, State
from geodes_lab.acquisition.settings.wanted import Period, Region, Wanted
from geodes_lab.catalog.catalogue import named
from geodes_lab.credentials.origin import origin
from geodes_lab.errors import GeodesError
from geodes_lab.policy.units import Bytes, Seconds

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
