"""Where products come from: CDSE, GEODES and other catalogues, a folder, a plug-in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from geodes_lab.acquisition.settings.parts import Duration, Login, Part, web_address
from geodes_lab.policy.units import Seconds

CDSE_DOWNLOAD = "https://download.dataspace.copernicus.eu/odata/v1"
CDSE_IDENTITY = "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token"


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
        return web_address(value)


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
        return web_address(value)


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
