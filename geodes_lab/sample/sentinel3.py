"""Sentinel-3 SRAL level-1 products as ESA writes them: a SEN3 folder in one zip, radar echoes along the ground track."""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import h5netcdf
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Geod, Transformer

from geodes_lab.sample import truth

RECORDS, GATES = 1180, 128
REFERENCE = 43  # the gate to which the range refers, counted from 0
HEADING = 195.5  # degrees from north: a descending pass
_INTERVAL = 0.0509  # seconds between records, nominally 20 Hz
_SPEED = 6740.0  # of the point under the satellite, metres a second
_GATE = 299_792_458.0 / 2 / 320e6  # metres a gate, of a pulse 320 MHz wide
_LAKE = (900, 1010)  # column and row of the truth where the track crosses the lake
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_GPS = datetime(1980, 1, 6, tzinfo=UTC)
_FILL = 2.0**64  # ESA's filler of doubles
_STACK = 180  # echoes summed in each record, which leaves some speckle
_LEAP = 18.0  # seconds by which GPS time is ahead of UTC since 2017

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Product:
    """One product of the sample."""

    crossing: datetime
    """When it is above the sample's lake, UTC."""
    platform: str = "S3A"
    """``S3A`` or ``S3B``."""
    cycle: int = 72
    """The cycle of 27 days."""
    orbit: int = 322
    """The relative orbit, 1 to 385."""

    @property
    def start(self) -> datetime:
        """Time of the first record."""
        return self.crossing + timedelta(seconds=float(seconds()[0]))

    @property
    def stop(self) -> datetime:
        """Time of the last record."""
        return self.crossing + timedelta(seconds=float(seconds()[-1]))

    @property
    def generation(self) -> datetime:
        """When it was processed."""
        return self.stop.replace(microsecond=0) + timedelta(hours=2, minutes=31)

    @property
    def name(self) -> str:
        """The product's name, without ``.SEN3``."""
        times = "_".join(f"{t:%Y%m%dT%H%M%S}" for t in (self.start, self.stop, self.generation))
        lasts = round((self.stop - self.start).total_seconds())
        return f"{self.platform}_SR_1_SRA____{times}_{lasts:04d}_{self.cycle:03d}_{self.orbit:03d}______LN3_O_NR_004"

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Longitude and latitude of a band 10 km wide around the track, closed."""
        some = [0, RECORDS // 2, RECORDS - 1]
        lon, lat = (c[some] for c in track())
        left, right = (
            Geod(ellps="WGS84").fwd(lon, lat, np.full(3, HEADING + side), np.full(3, 5000.0))[:2] for side in (-90, 90)
        )
        ring = np.concatenate([np.transpose(left), np.transpose(right)[::-1], np.transpose(left)[:1]])
        return [(float(x), float(y)) for x, y in ring]


def products() -> list[Product]:
    """The sample's only altimeter product: a morning in June 2021."""
    return [Product(datetime(2021, 6, 7, 10, 24, 31, 500_000, tzinfo=UTC))]


def seconds() -> Floats:
    """Time of the records since the satellite was above the lake (records), in seconds."""
    return np.asarray((np.arange(RECORDS) - RECORDS // 2) * _INTERVAL, np.float64)


@cache
def track() -> tuple[Floats, Floats]:
    """Longitude and latitude of the points under the satellite (records), in degrees: a geodesic over the lake."""
    column, row = _LAKE
    x, y = truth.WEST + column * 10 + 5, truth.NORTH - row * 10 - 5
    lon, lat = Transformer.from_crs(truth.EPSG, 4326, always_xy=True).transform(x, y)
    there = np.full(RECORDS, 1.0)
    lons, lats, _ = Geod(ellps="WGS84").fwd(lon * there, lat * there, HEADING * there, seconds() * _SPEED)
    return np.asarray(lons), np.asarray(lats)


def altitude() -> Floats:
    """Altitude of the satellite above the ellipsoid (records), in metres: falling, ever slower."""
    return 806_500.0 - 14.2 * seconds() + 0.011 * seconds() ** 2


def surface_height(product: Product) -> Floats:
    """What altitude minus range must give: the height of the ground above the ellipsoid.

    Parameters
    ----------
    product
        All of the sample fly over the same ground.

    Returns
    -------
    numpy.ndarray
        Height (records), in metres: hills 80 m and 12 m high along the track; the lake lies at its mean.
    """
    along = seconds() * _SPEED
    height = 260.0 + 80 * np.sin(2 * np.pi * along / 90_000) + 12 * np.sin(2 * np.pi * along / 7_000)
    return np.where(surface_type() == 1, 260.0, height)


def surface_type() -> NDArray[np.int8]:
    """ESA's flag of the surface (records): 3 is land; 1 is a lake, where the truth has water under the satellite."""
    x, y = Transformer.from_crs(4326, truth.EPSG, always_xy=True).transform(*track())
    row, column = ((truth.NORTH - y) // 10).astype(int), ((x - truth.WEST) // 10).astype(int)
    inside = (row >= 0) & (row < truth.ROWS) & (column >= 0) & (column < truth.COLS)
    kind = np.zeros(RECORDS, int)
    kind[inside] = truth.land_cover()[row[inside], column[inside]]
    return np.where(kind == 6, 1, 3).astype(np.int8)


def echo() -> Floats:
    """Mean power of the echoes (records, gates), in counts: Brown's model.

    The leading edge is half up at the reference gate whatever the height, as the window follows the ground: a retracker
    must find no correction to the range. Land rises within some gates and fades slowly; the lake rises at once, fades
    fast and shines.
    """
    shapes = []
    for rise, decay, power in ((1.2, 0.03, 9_000.0), (0.4, 0.5, 60_000.0)):
        gates = [gate - REFERENCE for gate in range(GATES)]
        edge = [(1 + math.erf(g / math.sqrt(2) / rise)) / 2 * math.exp(-decay * max(g, 0)) for g in gates]
        shapes.append(20 + power * np.array(edge))
    return np.stack(shapes)[(surface_type() == 1).astype(int)]


def write(product: Product, path: Path) -> None:
    """Write one product as a zip with stored members; the same product always gives the same bytes.

    The NetCDF names the versions of the libraries that wrote it: others may give other bytes.
    """
    data = _measurement(product)
    members = {"measurement.nc": data, "xfdumanifest.xml": _manifest(product, data).encode()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(f"{product.name}.SEN3/{name}", product.generation.timetuple()[:6])
            archive.writestr(info, content)


# Type, scale, offset, units and long name of each variable, by its name without the mode.
_VARIABLES: dict[str, tuple[str, float, float, str, str]] = {
    "time": ("f8", 1, 0, "seconds since 2000-01-01 00:00:00.0", "utc"),
    "UTC_day": ("i2", 1, 0, "days since 2000-01-01 00:00:00.0", "day UTC"),
    "UTC_sec": ("f8", 1, 0, "s", "seconds in the day UTC"),
    "GPS_time": ("f8", 1, 0, "seconds since 1980-01-06 00:00:00.0", "gps time"),
    "lat": ("i4", 1e-6, 0, "degrees_north", "latitude"),
    "lon": ("i4", 1e-6, 0, "degrees_east", "longitude"),
    "alt": ("i4", 1e-4, 700_000, "m", "altitude of satellite"),
    "orb_alt_rate": ("i2", 0.01, 0, "m/s", "orbital altitude rate"),
    "range_ku": ("i4", 1e-4, 700_000, "m", "corrected range for ku band"),
    "uso_cor": ("i4", 1e-4, 0, "m", "uso frequency drift correction"),
    "int_path_cor_ku": ("i4", 1e-4, 0, "m", "internal path correction for ku band"),
    "h0_applied": ("u4", 1, 0, "3.125/64*10^-9 s", "applied altitude command H0"),
    "agc_ku": ("i4", 0.01, 0, "dB", "corrected AGC for ku band"),
    "scale_factor_ku": ("i4", 0.01, 0, "dB", "scaling factor for sigma0 evaluation for ku band"),
    "nb_stack": ("u2", 1, 0, "count", "number of waveforms summed in stack"),
    "i2q2_meas_ku": ("u4", 0.001, 0, "count", "multilooked I2+Q2 measurement for ku band"),
    "surf_type": ("i1", 1, 0, "", "altimeter surface type"),
    "SAR_mode": ("i1", 1, 0, "", "sar mode identifier"),
    "oper_instr": ("i1", 1, 0, "", "operating instrument"),
    "acq_stat": ("i1", 1, 0, "", "tracking configuration - acquisition status"),
    "loss_track": ("i1", 1, 0, "", "loss of track criterion"),
    "flag_time_status": ("i1", 1, 0, "", "time status flag"),
}
_MEANINGS = {
    "surf_type": "open_ocean_or_semi-enclosed_seas enclosed_seas_or_lakes continental_ice land",
    "SAR_mode": "closed_loop open_loop open_loop_fixed_gain",
    "oper_instr": "A B",
    "acq_stat": "no_acquisition acquisition",
    "loss_track": "normal loss_of_track",
    "flag_time_status": "synchronization no_synchronization",
}
# Metadata whose identifier is longer than its element.
_MEASURED = ("orbitReference", "qualityInformation", "frameSet")
_STANDARD = {"time": "time", "lat": "latitude", "lon": "longitude"}


def _values(product: Product) -> dict[str, ArrayLike]:
    """Physical values of the variables that are not 0 in every record."""
    time = (product.crossing - _EPOCH).total_seconds() + seconds()
    (lon, lat), distance = track(), altitude() - surface_height(product)
    rng = np.random.default_rng([truth.SEED, product.crossing.toordinal()])
    return {
        "time": time,
        "UTC_day": time // 86400,
        "UTC_sec": time % 86400,
        "GPS_time": time + (_EPOCH - _GPS).total_seconds() + _LEAP,
        "lat": lat,
        "lon": lon,
        "alt": altitude(),
        "orb_alt_rate": np.gradient(altitude(), seconds()),
        "range_ku": distance,
        "h0_applied": distance / _GATE * 64,
        "agc_ku": 31.25,
        "scale_factor_ku": 71.5,
        "nb_stack": _STACK,
        "i2q2_meas_ku": echo() * rng.gamma(_STACK, 1 / _STACK, (RECORDS, GATES)),
        "surf_type": surface_type(),
        "SAR_mode": 1,
        "acq_stat": 1,
    }


def _measurement(product: Product) -> bytes:
    """The measurements as NetCDF-4: the mode of SAR echoes in Ku band, the only one over land."""
    mode, values, buffer = "_l1b_echo_sar_ku", _values(product), io.BytesIO()
    (lon, lat), moments = track(), {"first_meas_time": product.start, "last_meas_time": product.stop}
    with h5netcdf.File(buffer, "w") as file:
        file.dimensions = {f"time{mode}": RECORDS, "echo_sample_ind": GATES}
        file.attrs["Conventions"] = "CF-1.6"
        file.attrs["title"] = "IPF SRAL Level 1 Measurement"
        file.attrs["mission_name"] = f"Sentinel {product.platform[1:]}"
        file.attrs["altimeter_sensor_name"] = "SRAL"
        file.attrs["product_name"] = f"{product.name}.SEN3"
        file.attrs["institution"] = "GEODES Lab sample: generated, not measured"
        file.attrs["creation_time"] = f"{product.generation:%Y-%m-%dT%H:%M:%SZ}"
        file.attrs["cycle_number"] = np.int32(product.cycle)
        file.attrs["pass_number"] = np.int32(2 * product.orbit)
        for name, moment in moments.items():
            file.attrs[name] = f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"
        for name, place in {"lat": lat, "lon": lon}.items():
            file.attrs[f"first_meas_{name}"], file.attrs[f"last_meas_{name}"] = place[0], place[-1]
        gates = file.create_variable("echo_sample_ind", ("echo_sample_ind",), "i1", data=np.arange(GATES, dtype="i1"))
        gates.attrs["long_name"] = "number of samples in I2+Q2, I and Q echoes"
        gates.attrs["units"] = "count"
        for name, (kind, scale, offset, units, title) in _VARIABLES.items():
            value = values.get(name, 0)
            physical = np.broadcast_to(value, (RECORDS, *np.shape(value)[1:]))
            stored = physical if kind == "f8" else np.rint((physical - offset) / scale)
            dims = (f"time{mode}", "echo_sample_ind")[: physical.ndim]
            filler = None if name == "time" else _FILL if kind == "f8" else np.iinfo(kind).max
            variable = file.create_variable(f"{name}{mode}", dims, kind, data=stored.astype(kind), fillvalue=filler)
            variable.attrs["long_name"] = f"{title} : l1b_echo_sar_ku mode"
            if units:
                variable.attrs["units"] = units
            if name in _STANDARD:
                variable.attrs["standard_name"] = _STANDARD[name]
            if scale != 1:
                variable.attrs["scale_factor"], variable.attrs["add_offset"] = np.float64(scale), np.float64(offset)
            if name in _MEANINGS:
                variable.attrs["flag_values"] = np.arange(len(_MEANINGS[name].split()), dtype="i1")
                variable.attrs["flag_meanings"] = _MEANINGS[name]
    return buffer.getvalue()


def _tags(prefix: str, fields: str) -> str:
    """Elements from ``name value; name value``."""
    pairs = (field.split(" ", 1) for field in fields.split("; "))
    return "".join(f"<{prefix}:{name}>{value}</{prefix}:{name}>" for name, value in pairs)


def _manifest(product: Product, data: bytes) -> str:
    start, stop, made = (f"{t:%Y-%m-%dT%H:%M:%S.%fZ}" for t in (product.start, product.stop, product.generation))
    # Counted from a real orbit: 28009 was the 316th of cycle 73; a cycle has 385.
    orbit = 28009 + (product.cycle - 73) * 385 + product.orbit - 316
    numbers = {"orbitNumber": orbit, "relativeOrbitNumber": product.orbit}
    numbers |= {"passNumber": 2 * orbit, "relativePassNumber": 2 * product.orbit}
    orbits = "".join(
        f'<sentinel-safe:{name} groundTrackDirection="descending" type="{end}">{number}</sentinel-safe:{name}>'
        for name, number in numbers.items()
        for end in ("start", "stop")
    )
    ring = " ".join(f"{lat:.4f} {lon:.4f}" for lon, lat in product.footprint)
    lake = round(100 * float((surface_type() == 1).mean()))
    general = _tags(
        "sentinel3",
        f"productName {product.name}.SEN3; productType SR_1_SRA___; timeliness NR; baselineCollection 004; creationTime "
        f"{product.generation:%Y%m%dT%H%M%S}; productSize {len(data)}; dispositionMode Operational",
    )
    radar = _tags(
        "sral",
        "ellipsoidSemiMajorAxis 6378137.000000; ellipsoidFlattening 0.003353; lrmModePercentage 0; sarModePercentage 100; "
        f"landPercentage {100 - lake}; closedSeaPercentage {lake}; continentalIcePercentage 0; openOceanPercentage 0",
    )
    parts = {
        "processing": f"""<sentinel-safe:processing name="DataProcessing" outputLevel="1" start="{made}" stop="{made}">
          <sentinel-safe:facility name="GEODES Lab sample" organisation="CNES" site="Toulouse" country="France">
          <sentinel-safe:software name="geodes_lab.sample" version="1"/></sentinel-safe:facility>
          </sentinel-safe:processing>""",
        "acquisitionPeriod": _tags("sentinel-safe", f"startTime {start}; stopTime {stop}"),
        "platform": f"""{_tags("sentinel-safe", "nssdcIdentifier 2016-011A; familyName Sentinel-3")}
          <sentinel-safe:number>{product.platform[-1]}</sentinel-safe:number><sentinel-safe:instrument>
          <sentinel-safe:familyName abbreviation="SRAL">Sar Radar ALtimeter</sentinel-safe:familyName>
          <sentinel-safe:mode identifier="EO">Earth Observation</sentinel-safe:mode></sentinel-safe:instrument>""",
        "generalProductInformation": general,
        "orbitReference": orbits + _tags("sentinel-safe", f"cycleNumber {product.cycle}; phaseIdentifier 1"),
        "qualityInformation": """<sentinel-safe:extension><sentinel3:productQuality>
          <sentinel3:onlineQualityCheck>PASSED</sentinel3:onlineQualityCheck></sentinel3:productQuality>
          </sentinel-safe:extension>""",
        "frameSet": f"""<sentinel-safe:footPrint srsName="http://www.opengis.net/def/crs/EPSG/0/4326">
          <gml:posList>{ring}</gml:posList></sentinel-safe:footPrint>""",
        "sralProductInformation": radar,
    }
    prefixes = {"generalProductInformation": "sentinel3", "sralProductInformation": "sral"}
    objects, about = "", []
    for name, body in parts.items():
        kind = ("PROVENANCE", "PDI") if name == "processing" else ("DESCRIPTION", "DMD")
        identity = f"measurement{name[0].upper()}{name[1:]}" if name in _MEASURED else name
        about += [identity] if name != "processing" else []
        if name != "processing":
            tag = f"{prefixes.get(name, 'sentinel-safe')}:{name}"
            body = f"<{tag}>{body}</{tag}>"
        objects += f"""    <metadataObject ID="{identity}" classification="{kind[0]}" category="{kind[1]}">
      <metadataWrap mimeType="text/xml" vocabularyName="Sentinel-SAFE" textInfo="">
        <xmlData>{body}</xmlData>
      </metadataWrap>
    </metadataObject>
"""
    safe = "http://www.esa.int/safe/sentinel"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:sentinel-safe="{safe}/1.1" xmlns:gml="http://www.opengis.net/gml"
 xmlns:sentinel3="{safe}/sentinel-3/1.0" xmlns:sral="{safe}/sentinel-3/sral/1.0"
 version="esa/safe/sentinel/sentinel-3/sral/level-1/1.0">
  <informationPackageMap>
    <xfdu:contentUnit ID="packageUnit" unitType="Information Package" textInfo="SENTINEL-3 SRAL Level 1"
     pdiID="processing" dmdID="{" ".join(about)}">
      <xfdu:contentUnit ID="measurementUnit" unitType="Measurement Data Unit" textInfo="Measurement Data Set">
        <dataObjectPointer dataObjectID="measurementData"/>
      </xfdu:contentUnit>
    </xfdu:contentUnit>
  </informationPackageMap>
  <metadataSection>
{objects}  </metadataSection>
  <dataObjectSection>
    <dataObject ID="measurementData">
      <byteStream mimeType="application/x-netcdf" size="{len(data)}">
        <fileLocation locatorType="URL" href="measurement.nc" textInfo="Measurement Data Object File"/>
        <checksum checksumName="MD5">{hashlib.md5(data).hexdigest()}</checksum>
      </byteStream>
    </dataObject>
  </dataObjectSection>
</xfdu:XFDU>
"""
