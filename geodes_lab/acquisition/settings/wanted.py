"""Which products are wanted: of what collection, where, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from geodes_lab.acquisition.settings.parts import Instant, Part


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
