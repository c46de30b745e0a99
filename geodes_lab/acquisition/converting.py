"""Products that are in the catalogue are converted, if the settings say so: their bands, as GeoTIFFs beside them."""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pystac

from geodes_lab.acquisition.destination import Destination
from geodes_lab.acquisition.fetching import NoRoom, check_room
from geodes_lab.acquisition.ledger.alive import kept
from geodes_lab.acquisition.ledger.conversions import Conversion, Conversions
from geodes_lab.acquisition.ledger.leases import LeaseLost
from geodes_lab.acquisition.settings.wanted import Wanted
from geodes_lab.errors import GeodesError, shown
from geodes_lab.storage.whole_object.stop import Stop, Stopped
from geodes_lab.util import faults

log = logging.getLogger("geodes_lab.acquisition")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LONGEST = 86400.0  # seconds between two attempts
_ROOM = 4  # times the product's bytes that its converted bands need at most while they are written


@dataclass(frozen=True)
class Rules:
    """What the settings say of conversions."""

    wanted: Mapping[str, Wanted]
    """The collections whose products are converted."""
    retry: float
    """Seconds before the second attempt; then always twice as long."""
    attempts: int
    room: int
    """Bytes that stay free on each disk."""


@dataclass(frozen=True)
class Converting:
    """Converts products one after another: each one's reading and compressing uses all cores."""

    rules: Rules
    conversions: Conversions
    destination: Destination
    work: Path
    """For files on their way to a bucket."""

    def run(self, stop: Stop, until: float | None) -> tuple[int, int]:
        """Convert what waits; returns how many products were converted, and how many refused.

        Parameters
        ----------
        stop
            Ends it soon; a product that is under way begins anew later.
        until
            When no other product is begun, by the monotonic clock: the sources are looked at then. None: never.
        """
        names, tried, done, refused = sorted(self.rules.wanted), 0, 0, 0
        if not names:
            return 0, 0
        self.conversions.plan(names)
        while until is None or time.monotonic() < until or not tried:
            stop.check()
            tried += 1
            one = self.conversions.take(names)
            if one is None:
                break
            faults.reach("convert.taken")
            leases = self.conversions.leases
            with kept(lambda one=one: self.conversions.renew(one), leases.seconds) as check:  # type: ignore[misc]
                what = self._one(one, stop, check)
            done, refused = done + (what == "done"), refused + (what == "refused")
            if what == "stopped":
                break
        return done, refused

    def _one(self, one: Conversion, stop: Stop, check: Callable[[], None]) -> str:
        def look() -> None:
            check()
            stop.check()

        began = time.monotonic()
        try:
            assets, size = self._converted(one, look)
            self.conversions.done(one, assets, size, time.monotonic() - began)
        except Stopped:
            with contextlib.suppress(LeaseLost):
                self.conversions.postpone(one, "", 0.0, counts=False)
            return "stopped"
        except LeaseLost:
            return "lost"
        except (GeodesError, OSError) as error:
            return self._failed(one, error)
        faults.reach("convert.recorded")
        return "done"

    def _failed(self, one: Conversion, error: Exception) -> str:
        why = shown(str(error)) or type(error).__name__
        log.warning("%s", why)
        counts = not isinstance(error, NoRoom) and not (isinstance(error, OSError) and error.errno in _FULL)
        with contextlib.suppress(LeaseLost):
            if counts and one.attempts + 1 >= self.rules.attempts:
                self.conversions.refuse(one, why)
                return "refused"
            pause = min(max(self.rules.retry, 0.0 if counts else 1.0) * 2**one.attempts, _LONGEST)
            self.conversions.postpone(one, why, pause, counts=counts)
        return "postponed"

    def _converted(self, one: Conversion, check: Callable[[], None]) -> tuple[dict[str, Any], int]:
        """Convert a product that is in the datalake; returns the assets for its Item, and the bytes of their files."""
        from geodes_lab.conversion import scene  # here: an engine that converts nothing has no use for GDAL's writers
        from geodes_lab.products import converted

        wanted = self.rules.wanted[one.collection].convert
        assert wanted is not None
        item = pystac.Item.from_dict(one.item)
        self._reads_here(item, one)
        above = self.destination.place(converted_key(one.key))
        names = list(wanted.bands) if wanted.bands is not None else None
        for left in self.work.glob(f"convert-{one.number}-*"):  # of an engine that was killed
            shutil.rmtree(left, ignore_errors=True)
        there = self._there(item, names, above)
        if there is None:
            above.remove_all()  # of an engine that was killed, or of other bands
            need = _ROOM * int(item.assets["product"].extra_fields.get("file:size") or 0)
            check_room(_existing(above.path) if above.is_disk else self.work, need, self.rules.room)
            with tempfile.TemporaryDirectory(prefix=f"convert-{one.number}-", dir=self.work) as folder:
                there = scene.convert(item, names, above, work=Path(folder), check=check)
        faults.reach("convert.written")
        both = converted.beside(item, pystac.Item.from_dict(dict(there.item)))
        files = {key: a for key, a in both.to_dict(transform_hrefs=False)["assets"].items() if key not in item.assets}
        folder_key = f"{converted_key(one.key)}/{scene.folder_name(item)}"
        for asset in files.values():
            asset["href"] = self.destination.href(f"{folder_key}/{asset['href'].rpartition('/')[2]}")
        extensions = sorted(set(there.item.get("stac_extensions", ())))
        return {"assets": files, "stac_extensions": extensions}, sum(b.size for b in there.bands.values())

    def _reads_here(self, item: pystac.Item, one: Conversion) -> None:
        """Let a product be read where it is stored, whatever address the catalogue gives to others."""
        item.assets["product"].href = str(self.destination.place(one.key))

    def _there(self, item: pystac.Item, names: list[str] | None, above: Any) -> Any:
        """Return what an engine has converted that died before it was recorded, if these are the bands."""
        from geodes_lab.conversion import scene

        with contextlib.suppress(GeodesError):  # of other bands
            found = scene.there(item, names, above)
            if found is not None and (names is None or len(found.bands) == len(set(names))):
                return found
        return None


def converted_key(key: str) -> str:
    """Return the key of the folder of a product's converted bands; of two products it is never the same."""
    return f"converted/{key}"


def _existing(path: Path) -> Path:
    """Return the nearest folder that is there."""
    return next(p for p in (path, *path.parents) if p.is_dir())
