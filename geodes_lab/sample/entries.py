"""The products of the sample, each with its place in the catalogue and on the datalake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from geodes_lab.sample import spot, spot_heritage, theia, theia_others, waves
from geodes_lab.sample.sentinel1 import earthquake, grd, hills, ocn, slc
from geodes_lab.sample.sentinel2 import l1c, l2a
from geodes_lab.sample.sentinel3 import products


@dataclass(frozen=True)
class Entry:
    """One product and its entry in the catalogue."""

    product: (
        grd.Product
        | slc.Product
        | earthquake.Product
        | ocn.Product
        | l1c.Scene
        | l2a.Product
        | products.Product
        | spot.Product
        | spot_heritage.Product
        | theia.Scene
        | theia_others.Product
        | hills.Model
        | waves.Waves
    )
    """The generator of the product."""
    collection: str
    """The collection's id."""
    key: str
    """The path on the datalake: bucket and key."""
    start: datetime
    """Start of the acquisition, UTC."""
    end: datetime
    """End of the acquisition, UTC."""
    published: datetime
    """The Item's ``datetime`` in the service."""

    @property
    def name(self) -> str:
        """Return the product's name."""
        return self.product.name

    @property
    def quicklook(self) -> str:
        """The path of its quicklook on the datalake, if it has one. In the service, quicklooks are on the portal."""
        return f"quicklook/{self.name}.jpg"


def entries() -> list[Entry]:
    """All products of the sample."""
    result = []
    for scene in l1c.scenes():
        zone, band, square = scene.tile[:2], scene.tile[2], scene.tile[3:]
        key = f"sentinel2-l1c/{zone}/{band}/{square}/{scene.time:%Y/%m/%d}/{scene.name}.zip"
        result.append(Entry(scene, "PEPS_S2_L1C", key, scene.time, scene.time, scene.generation + timedelta(hours=6.5)))
    for surface in l2a.products():
        key = f"sentinel2-l2a-esa/{surface.start:%Y/%m/%d}/{surface.name}.zip"
        result.append(Entry(surface, "SENTINEL2_L2A", key, surface.start, surface.start, surface.scene.generation))
    for radar in (*grd.products(), *hills.products()):
        key = f"sentinel1-grd/{radar.start:%Y/%m/%d}/{radar.name}.zip"
        result.append(Entry(radar, "PEPS_S1_L1", key, radar.start, radar.stop, radar.stop + timedelta(hours=3)))
    for image in slc.products():
        key = f"sentinel1-slc/{image.start:%Y/%m/%d}/{image.name}.zip"
        result.append(Entry(image, "PEPS_S1_L1", key, image.start, image.stop, image.stop + timedelta(hours=3)))
    for shaken in earthquake.products():
        key = f"sentinel1-slc/{shaken.start:%Y/%m/%d}/{shaken.name}.zip"
        result.append(Entry(shaken, "PEPS_S1_L1", key, shaken.start, shaken.stop, shaken.stop + timedelta(hours=3)))
    for ocean in ocn.products():
        key = f"sentinel1-ocn/{ocean.start:%Y/%m/%d}/{ocean.name}.zip"
        result.append(Entry(ocean, "PEPS_S1_L2", key, ocean.start, ocean.stop, ocean.stop + timedelta(hours=3)))
    for track in products.products():
        collection, level = ("PEPS_S3_L1", 1) if track.kind.startswith("SR_1") else ("SENTINEL3_SR_2_LAN", 2)
        key = f"sentinel3-sral-l{level}/{track.start:%Y/%m/%d}/{track.name}.zip"
        published = track.generation.replace(hour=12) + timedelta(days=1)
        result.append(Entry(track, collection, key, track.start, track.stop, published))
    for other in (
        *theia.scenes(),
        *theia_others.products(),
        *spot.products(),
        *spot_heritage.products(),
        hills.Model(),
    ):
        result.append(Entry(other, other.collection, other.key, other.time, other.time, other.time + timedelta(days=2)))
    for sea in waves.products():
        result.append(Entry(sea, sea.collection, sea.key, sea.time, sea.stop, sea.stop + timedelta(hours=3)))
    return result
