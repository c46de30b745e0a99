"""Sentinel-1 IW GRDH products as ESA writes them: SAFE in one zip, radar geometry, a calibration that can be undone."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Geod, Transformer
from rasterio.control import GroundControlPoint
from rasterio.io import MemoryFile

from geodes_lab.sample import truth

LINES, SAMPLES, SPACING = 800, 1000, 10  # an image all inside the truth's area; metres a pixel
LOOKS = 4.4  # equivalent number of looks of a real GRDH product
HEADING = -165.0  # degrees from grid north: a descending pass, which looks to the right, that is west
HEIGHT = 200.0  # of the ground above the ellipsoid, metres, everywhere

# Mean backscatter sigma0 in decibels of each class of the truth; water in VH lies below the noise.
SIGMA0 = {
    "VV": dict(zip(truth.CLASSES, (-12.0, -10.0, -9.5, -11.5, -8.0, -20.0, -3.0), strict=True)),
    "VH": dict(zip(truth.CLASSES, (-18.5, -17.5, -16.0, -17.0, -13.5, -28.0, -11.0), strict=True)),
}

# The image straddles two beams, as every wide-swath image does: first and last sample of each.
SWATHS = {"IW1": (0, 399), "IW2": (400, SAMPLES - 1)}
_INTERVAL = 1.498376640333055e-03  # seconds from line to line
_RANGE, _INCIDENCE = 840_000.0, 36.5  # of the image's centre: metres, degrees
_BETA = 474.0  # the calibration constant of beta nought
_KNOTS = np.append(np.arange(0, SAMPLES, 40), SAMPLES - 1)  # samples at which the tables have values
_CALIBRATED = (-334, 333, 1000)  # lines of the calibration vectors: one a second, the first before the image
_NOISY = {0: 1.0, 400: 1.03, LINES - 1: 0.98}  # lines of the noise vectors, and how the noise changes along them
_LIGHT = 299_792_458.0  # metres a second
_MS = timedelta(milliseconds=1)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Product:
    """One product of the sample."""

    start: datetime
    """Zero-Doppler time of the first line, UTC."""
    platform: str = "S1A"
    """``S1A`` or ``S1B``."""
    orbit: int = 38209
    """The absolute orbit number."""
    datatake: int = 0x04824A
    """The number of the mission's data take."""

    @property
    def stop(self) -> datetime:
        """Zero-Doppler time of the last line."""
        return self.time(LINES - 1)

    @property
    def name(self) -> str:
        """The product's name, without ``.SAFE``."""
        span = f"{self.start:%Y%m%dT%H%M%S}_{self.stop:%Y%m%dT%H%M%S}"
        return f"{self.platform}_IW_GRDH_1SDV_{span}_{self.orbit:06d}_{self.datatake:06X}_1A2B"

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Longitude and latitude of the corners, closed."""
        last, end = LINES - 1, SAMPLES - 1
        lon, lat = _degrees([last, last, 0, 0, last], [0, end, end, 0, 0])
        return list(zip(lon.tolist(), lat.tolist(), strict=True))

    @property
    def node(self) -> datetime:
        """When the satellite crossed the equator northward, before a descending pass over this latitude."""
        return self.start - timedelta(seconds=2235)

    def time(self, line: float) -> datetime:
        """Zero-Doppler time of a line."""
        return self.start + timedelta(seconds=line * _INTERVAL)

    def stem(self, polarisation: str) -> str:
        """The name of a polarisation's files, without extension."""
        rest = "-".join(self.name.split("_")[4:8])
        number = list(SIGMA0).index(polarisation) + 1
        return f"{self.platform}-iw-grd-{polarisation}-{rest}-{number:03d}".lower()


def products() -> list[Product]:
    """The sample's only radar image: a morning in June 2021, the day after a cloudless Sentinel-2 image."""
    return [Product(datetime(2021, 6, 6, 6, 1, 0, 246_813, tzinfo=UTC))]


def ground(line: ArrayLike, sample: ArrayLike) -> tuple[Floats, Floats]:
    """Easting and northing of the centres of pixels, in metres of EPSG:32631; (0, 0) is the first pixel's centre."""
    along = (np.asarray(line) - (LINES - 1) / 2) * SPACING
    across = (np.asarray(sample) - (SAMPLES - 1) / 2) * SPACING
    sin, cos = np.sin(np.radians(HEADING)), np.cos(np.radians(HEADING))
    # Range grows to the right of the flight, which in a descending pass is to the west.
    return (
        truth.WEST + truth.COLS * 5 + along * sin + across * cos,
        truth.NORTH - truth.ROWS * 5 + along * cos - across * sin,
    )


def land_cover() -> NDArray[np.uint8]:
    """The class of each pixel (lines, samples): that of the truth's pixel in which its centre lies."""
    x, y = ground(*np.mgrid[0:LINES, 0:SAMPLES])
    return truth.land_cover()[(truth.NORTH - y).astype(int) // 10, (x - truth.WEST).astype(int) // 10]


def sigma0(product: Product, polarisation: str) -> Floats:
    """What a perfect, noiseless radar would have measured: the backscatter of the class, and speckle.

    Parameters
    ----------
    product
        Its day seeds the speckle.
    polarisation
        ``VV`` or ``VH``.

    Returns
    -------
    numpy.ndarray
        Sigma nought (lines, samples), linear, on the ellipsoid.
    """
    by_class = np.zeros(max(truth.CLASSES) + 1)
    for kind, decibels in SIGMA0[polarisation].items():
        by_class[kind] = 10 ** (decibels / 10)
    rng = np.random.default_rng([truth.SEED, product.start.toordinal(), list(SIGMA0).index(polarisation)])
    return np.asarray(by_class[land_cover()] * rng.gamma(LOOKS, 1 / LOOKS, (LINES, SAMPLES)))


def noise(polarisation: str) -> Floats:
    """Power of the instrument's noise in squared digital numbers (lines, samples), as the product's tables have it."""
    rows = np.array([np.interp(np.arange(SAMPLES), _KNOTS, _noise_range(polarisation, n)) for n in _NOISY])
    power = np.stack([np.interp(np.arange(LINES), list(_NOISY), column) for column in rows.T], axis=1)
    for swath, (first, last) in SWATHS.items():
        power[:, first : last + 1] *= np.interp(np.arange(LINES), *_noise_azimuth(swath))[:, np.newaxis]
    return power


def numbers(product: Product, polarisation: str) -> NDArray[np.uint16]:
    """The digital numbers (lines, samples), amplitudes: the noise is still in them; 0, no data, never occurs."""
    gain = np.interp(np.arange(SAMPLES), _KNOTS, _gains()["sigmaNought"])
    power = sigma0(product, polarisation) * gain**2 + noise(polarisation)
    return np.clip(np.rint(np.sqrt(power)), 1, 65_535).astype(np.uint16)


def write(product: Product, path: Path) -> None:
    """Write one product as a zip with stored members; the same product always gives the same bytes."""
    members: dict[str, bytes] = {}
    for polarisation in SIGMA0:
        stem, image = product.stem(polarisation), numbers(product, polarisation)
        calibration, noises = _tables(product, polarisation)
        members[f"annotation/{stem}.xml"] = _xml("product", _annotation(product, polarisation, image))
        members[f"annotation/calibration/noise-{stem}.xml"] = _xml("noise", noises)
        members[f"annotation/calibration/calibration-{stem}.xml"] = _xml("calibration", calibration)
        members[f"measurement/{stem}.tiff"] = _tiff(product, image)
    members["manifest.safe"] = _manifest(product, members).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(f"{product.name}.SAFE/{name}", product.stop.timetuple()[:6])
            archive.writestr(info, members[name])


def orbit(seconds: ArrayLike) -> tuple[Floats, Floats]:
    """Place and velocity (..., 3) of the satellite, Earth fixed, in metres and m/s; it is abreast of the centre at 0 s."""
    line, sample, angle = (LINES - 1) / 2, (SAMPLES - 1) / 2, np.radians(_INCIDENCE)
    centre = _earth_fixed(line, sample)
    up = _earth_fixed(line, sample, 1) - centre
    flight = _unit(_earth_fixed(line + 1, sample) - centre)
    near = _unit(_earth_fixed(line, sample - 1) - centre)
    place = centre + _RANGE * (np.sin(angle) * near + np.cos(angle) * up)
    # So fast that one line of the ground is swept in one interval, though the orbit is curved.
    velocity = flight * SPACING / _INTERVAL * (place @ place) / (place @ centre)
    rate = np.linalg.norm(velocity) / np.linalg.norm(place)
    turn = (rate * np.asarray(seconds))[..., np.newaxis]
    return (
        place * np.cos(turn) + velocity / rate * np.sin(turn),
        velocity * np.cos(turn) - place * rate * np.sin(turn),
    )


def _degrees(line: ArrayLike, sample: ArrayLike) -> tuple[Floats, Floats]:
    lon, lat = Transformer.from_crs(truth.EPSG, 4326, always_xy=True).transform(*ground(line, sample))
    return np.asarray(lon), np.asarray(lat)


def _earth_fixed(line: ArrayLike, sample: ArrayLike, above: float = 0) -> Floats:
    """Earth-centred coordinates (..., 3) of pixels, in metres."""
    lon, lat = _degrees(*np.broadcast_arrays(line, sample))
    height = np.full(lon.shape, HEIGHT + above)
    return np.stack(Transformer.from_crs(4979, 4978, always_xy=True).transform(lon, lat, height), axis=-1)


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector, axis=-1, keepdims=True))


def _look(sample: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Slant range in metres, incidence and elevation angle in degrees, of samples of the middle line."""
    line, (satellite, _) = (LINES - 1) / 2, orbit(0)
    target = _earth_fixed(line, sample)
    ray, up = satellite - target, _earth_fixed(line, sample, 1) - target
    incidence, elevation = np.arccos((_unit(ray) * up).sum(-1)), np.arccos(_unit(ray) @ _unit(satellite))
    return np.linalg.norm(ray, axis=-1), np.degrees(incidence), np.degrees(elevation)


@cache
def _gains() -> dict[str, NDArray[np.float32]]:
    """The calibration tables at the knots: sigma0 = beta0 sin(incidence), gamma0 = beta0 tan(incidence)."""
    angle = np.radians(_look(_KNOTS)[1])
    divisors = {"sigmaNought": np.sin(angle), "betaNought": angle**0, "gamma": np.tan(angle), "dn": angle**0}
    return {name: (_BETA / np.sqrt(divisor)).astype(np.float32) for name, divisor in divisors.items()}


def _noise_range(polarisation: str, line: int) -> NDArray[np.float32]:
    """Noise at the knots of one line: like a sigma0 of about -25 dB, more at the edges of the image."""
    floor = {"VV": 0.0035, "VH": 0.0032}[polarisation] * (1 + 0.6 * (_KNOTS / SAMPLES - 0.5) ** 2)
    return (floor * _gains()["sigmaNought"] ** 2 * _NOISY[line]).astype(np.float32)


def _noise_azimuth(swath: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """How the noise of one beam swells and ebbs with its bursts: lines and factors."""
    lines = np.append(np.arange(0, LINES - 1, 10), LINES - 1)
    return lines, (1 + 0.12 * np.sin(lines / 60 + {"IW1": 0.3, "IW2": 2.1}[swath])).astype(np.float32)


def _tables(product: Product, polarisation: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The documents of the calibration and of the noise."""
    header = {"adsHeader": _header(product, polarisation)}
    places = {n: {"azimuthTime": product.time(n), "line": n, "pixel": _KNOTS} for n in (*_CALIBRATED, *_NOISY)}
    vectors = [{**places[n], **_gains()} for n in _CALIBRATED]
    ranges = [{**places[n], "noiseRangeLut": _noise_range(polarisation, n)} for n in _NOISY]
    azimuths = [
        _fields(
            f"swath {s}; firstAzimuthLine 0; firstRangeSample {a}; lastAzimuthLine {LINES - 1}; lastRangeSample {b}"
        )
        | dict(zip(("line", "noiseAzimuthLut"), _noise_azimuth(s), strict=True))
        for s, (a, b) in SWATHS.items()
    ]
    constant = {"calibrationInformation": _fields("absoluteCalibrationConstant 1.000000e+00")}
    noises = {"noiseRangeVectorList": ranges, "noiseAzimuthVectorList": azimuths}
    return header | constant | {"calibrationVectorList": vectors}, header | noises


def _header(product: Product, polarisation: str) -> dict[str, Any]:
    return _fields(
        f"missionId {product.platform}; productType GRD; polarisation {polarisation}; mode IW; swath IW; startTime "
        f"{_text(product.start)}; stopTime {_text(product.stop)}; absoluteOrbitNumber {product.orbit}; "
        f"missionDataTakeId {product.datatake}; imageNumber {product.stem(polarisation)[-3:]}"
    )


def _annotation(product: Product, polarisation: str, image: NDArray[np.uint16]) -> dict[str, Any]:
    """The annotation of one image; lists of what the sample does not model, such as attitudes, are there but empty."""
    first, last, middle = _text(product.start), _text(product.stop), product.time((LINES - 1) / 2)
    (lon, lon_end), (lat, lat_end) = _degrees([0, LINES - 1], [SAMPLES / 2, SAMPLES / 2])
    heading = float(Geod(ellps="WGS84").inv(lon, lat, lon_end, lat_end)[0])
    orbits = []
    for seconds in range(-80, 80, 10):
        place, velocity = (dict(zip("xyz", vector.tolist(), strict=True)) for vector in orbit(seconds))
        when = middle + timedelta(seconds=seconds)
        orbits.append({"time": when, "frame": "Earth Fixed", "position": place, "velocity": velocity})
    moments = {"outputDataMean": image.mean(), "outputDataStdDev": image.std()}
    image_information = {
        **_fields(
            f"productFirstLineUtcTime {first}; productLastLineUtcTime {last}; ascendingNodeTime {_text(product.node)}; "
            f"anchorTime {first}; productComposition Slice; sliceNumber 1"
        ),
        "sliceList": [_fields(f"sliceNumber 1; sensingStartTime {first}; sensingStopTime {last}")],
        **_fields(
            f"slantRangeTime {2 * float(_look(0)[0]) / _LIGHT:.15e}; pixelValue Detected; outputPixels 16 bit Unsigned "
            f"Integer; rangePixelSpacing {SPACING:.6e}; azimuthPixelSpacing {SPACING:.6e}; azimuthTimeInterval "
            f"{_INTERVAL:.15e}; azimuthFrequency 4.864863102995529e+02; numberOfSamples {SAMPLES}; numberOfLines {LINES}; "
            f"zeroDopMinusAcqTime 0.000000000000000e+00; incidenceAngleMidSwath {_INCIDENCE:.15e}"
        ),
        "imageStatistics": {name: _fields(f"re {value:.6e}; im 0.000000e+00") for name, value in moments.items()},
    }
    processing = {
        **_fields(
            "rawDataAnalysisUsed true; orbitDataFileUsed true; attitudeDataFileUsed false; rxVariationCorrectionApplied "
            "true; antennaElevationPatternApplied true; antennaAzimuthPatternApplied true; "
            "antennaAzimuthElementPatternApplied true; dcMethod Data Analysis; dcInputData Range Compressed; "
            "rangeSpreadingLossCompensationApplied true; srgrConversionApplied true; detectionPerformed true; "
            "thermalNoiseCorrectionPerformed false; chirpSource Nominal; pgSource Extracted; rrfSpectrum Extended "
            "Tapered; applicationLutId IW_Default"
        ),
        **_none("swathProcParams", "inputDimensions"),
        **_fields(
            "referenceRange 8.000000000000000e+05; ellipsoidName WGS84; ellipsoidSemiMajorAxis 6.378137000000000e+06; "
            "ellipsoidSemiMinorAxis 6.356752314245000e+06; bistaticDelayCorrectionApplied true; topsFilterConvention "
            "Only Echo Lines; orbitSource Auxiliary; attitudeSource Downlink"
        ),
    }
    bounds = "azimuthTime {}; firstAzimuthLine 0; firstRangeSample {}; lastAzimuthLine {}; lastRangeSample {}"
    merges = [
        {"swath": swath, "swathBoundsList": [_fields(bounds.format(first, start, LINES - 1, end))]}
        for swath, (start, end) in SWATHS.items()
    ]
    return {
        "adsHeader": _header(product, polarisation),
        "qualityInformation": {"productQualityIndex": 0.0, **_none("qualityData")},
        "generalAnnotation": {
            "productInformation": _fields(
                f"pass Descending; timelinessCategory Fast-24h; platformHeading {heading:.15e}; projection Ground Range; "
                "rangeSamplingRate 6.434523812571428e+07; radarFrequency 5.405000454334350e+09; azimuthSteeringRate "
                "1.590368784000000e+00"
            ),
            **_none("downlinkInformation"),
            "orbitList": orbits,
            **_none("attitude", "rawDataAnalysis", "replicaInformation", "noise"),
            "terrainHeightList": [{"azimuthTime": middle, "value": HEIGHT}],
            **_none("azimuthFmRate"),
        },
        "imageAnnotation": {"imageInformation": image_information, "processingInformation": processing},
        "dopplerCentroid": _none("dcEstimate"),
        "antennaPattern": _none("antennaPattern"),
        "swathTiming": _fields("linesPerBurst 0; samplesPerBurst 0") | _none("burst"),
        "geolocationGrid": {"geolocationGridPointList": _grid(product)},
        "coordinateConversion": {"coordinateConversionList": _conversions(product)},
        "swathMerging": {"swathMergeList": merges},
    }


def _grid(product: Product) -> list[dict[str, Any]]:
    """The geolocation grid: 10 lines by 21 samples, as in every product of this kind."""
    points = []
    for line in np.rint(np.linspace(0, LINES - 1, 10)).astype(int).tolist():
        samples = np.rint(np.linspace(0, SAMPLES - 1, 21)).astype(int)
        (lon, lat), (reach, incidence, elevation) = _degrees(line, samples), _look(samples)
        points += [
            {"azimuthTime": product.time(line), "slantRangeTime": 2 * reach[n] / _LIGHT, "line": line, "pixel": sample}
            | {"latitude": lat[n], "longitude": lon[n], "height": HEIGHT}
            | {"incidenceAngle": incidence[n], "elevationAngle": elevation[n]}
            for n, sample in enumerate(samples)
        ]
    return points


def _conversions(product: Product) -> list[dict[str, Any]]:
    """Polynomials between slant and ground range in metres, one a second; ESA's have nine coefficients."""
    across, reach = np.arange(SAMPLES) * float(SPACING), _look(np.arange(SAMPLES))[0]
    fit = np.polynomial.Polynomial.fit
    fits = fit(reach - reach[0], across, 4), fit(across, reach, 4)
    flat, slant = (np.append(f.convert().coef, np.zeros(4)) for f in fits)
    polynomials = {"sr0": reach[0], "srgrCoefficients": flat, "gr0": 0.0, "grsrCoefficients": slant}
    return [
        {"azimuthTime": product.time(line), "slantRangeTime": 2 * reach[0] / _LIGHT, **polynomials}
        for line in _CALIBRATED
    ]


def _fields(text: str) -> dict[str, Any]:
    """Elements from ``name value; name value``."""
    return dict(field.split(" ", 1) for field in text.split("; "))


def _none(*names: str) -> dict[str, list[Any]]:
    return {f"{name}List": [] for name in names}


def _xml(root: str, content: Mapping[str, Any]) -> bytes:
    """A document of nested elements; lists and arrays say how many they hold."""
    tree = ET.Element(root)
    _fill(tree, content)
    ET.indent(tree)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(tree) + b"\n"


def _fill(parent: ET.Element, content: Mapping[str, Any]) -> None:
    for tag, value in content.items():
        child = ET.SubElement(parent, tag)
        match value:
            case dict():
                _fill(child, value)
            case list():
                child.set("count", str(len(value)))
                for entry in value:
                    _fill(ET.SubElement(child, tag.removesuffix("List")), entry)
            case np.ndarray():
                child.set("count", str(value.size))
                child.text = " ".join(map(_text, value))
            case _:
                child.text = _text(value)


def _text(value: Any) -> str:
    """ESA's formats: 15 decimals for a double, 6 for a float; a time has microseconds and no zone."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(timespec="microseconds")
    if isinstance(value, np.float32):
        return f"{value:.6e}"
    return f"{value:.15e}" if isinstance(value, float) else str(value)


def _tiff(product: Product, image: NDArray[np.uint16]) -> bytes:
    """One strip a line, tied to the ground by the geolocation grid alone."""
    points = [
        GroundControlPoint(p["line"], int(p["pixel"]), p["longitude"], p["latitude"], p["height"], id=str(n))
        for n, p in enumerate(_grid(product), 1)
    ]
    profile = {"driver": "GTiff", "count": 1, "height": LINES, "width": SAMPLES, "dtype": "uint16", "blockysize": 1}
    with MemoryFile(ext=".tiff") as memory:
        with memory.open(**profile, gcps=points, crs="EPSG:4326") as file:
            file.write(image, 1)
            file.update_tags(
                TIFFTAG_IMAGEDESCRIPTION=f"Sentinel-1{product.platform[-1]} IW GRD HR L1",
                TIFFTAG_DATETIME=f"{product.stop:%Y:%m:%d %H:%M:%S}",
                TIFFTAG_SOFTWARE="Sentinel-1 IPF 003.31",
            )
        return bytes(memory.read())


def _manifest(product: Product, members: Mapping[str, bytes]) -> str:
    units, notes, objects = [], [], []
    for path, data in members.items():
        name = path.rsplit("/", 1)[-1].split(".")[0].replace("-", "")
        kind = "measurement" if path.endswith(".tiff") else name.split("s1")[0] or "product"
        identity = f"product{name}" if kind == "product" else name
        schema, pointer = f"s1Level1{kind.title()}Schema", f'<dataObjectPointer dataObjectID="{identity}"/>'
        mime, unit = "text/xml", f'"Metadata Unit" repID="{schema}"'
        if kind == "measurement":
            annotations = " ".join(f"{k}{name}Annotation" for k in ("product", "noise", "calibration"))
            mime, unit = "application/octet-stream", f'"Measurement Data Unit" repID="{schema}" dmdID="{annotations}"'
        else:
            about = f'ID="{identity}Annotation" classification="DESCRIPTION" category="DMD"'
            notes.append(f"<metadataObject {about}>{pointer}</metadataObject>")
        units.append(f"<xfdu:contentUnit unitType={unit}>{pointer}</xfdu:contentUnit>")
        objects.append(
            f'<dataObject ID="{identity}" repID="{schema}"><byteStream mimeType="{mime}" size="{len(data)}">'
            f'<fileLocation locatorType="URL" href="./{path}"/><checksum checksumName="MD5">'
            f"{hashlib.md5(data).hexdigest()}</checksum></byteStream></dataObject>"
        )
    corners = " ".join(f"{lat:.6f},{lon:.6f}" for lon, lat in product.footprint[:-1])
    parts = {
        "processing": f"""<safe:processing name="GRD Post Processing" start="{_text(product.stop)}" stop="{_text(product.stop)}">
            <safe:facility country="France" name="GEODES Lab sample" organisation="CNES" site="Toulouse">
            <safe:software name="Sentinel-1 IPF" version="003.31"/></safe:facility></safe:processing>""",
        "platform": f"""<safe:platform><safe:nssdcIdentifier>2014-016A</safe:nssdcIdentifier>
            <safe:familyName>SENTINEL-1</safe:familyName><safe:number>{product.platform[-1]}</safe:number><safe:instrument>
            <safe:familyName abbreviation="SAR">Synthetic Aperture Radar</safe:familyName><safe:extension>
            <s1sarl1:instrumentMode><s1sarl1:mode>IW</s1sarl1:mode><s1sarl1:swath>IW</s1sarl1:swath></s1sarl1:instrumentMode>
            </safe:extension></safe:instrument></safe:platform>""",
        "measurementOrbitReference": f"""<safe:orbitReference>
            <safe:orbitNumber type="start">{product.orbit}</safe:orbitNumber>
            <safe:orbitNumber type="stop">{product.orbit}</safe:orbitNumber>
            <safe:relativeOrbitNumber type="start">{(product.orbit - 73) % 175 + 1}</safe:relativeOrbitNumber>
            <safe:relativeOrbitNumber type="stop">{(product.orbit - 73) % 175 + 1}</safe:relativeOrbitNumber>
            <safe:cycleNumber>{(product.orbit - 73) // 175 + 15}</safe:cycleNumber><safe:phaseIdentifier>1</safe:phaseIdentifier><safe:extension>
            <s1:orbitProperties><s1:pass>DESCENDING</s1:pass>
            <s1:ascendingNodeTime>{_text(product.node)}</s1:ascendingNodeTime></s1:orbitProperties></safe:extension>
            </safe:orbitReference>""",
        "generalProductInformation": f"""<s1sarl1:standAloneProductInformation>
            <s1sarl1:instrumentConfigurationID>7</s1sarl1:instrumentConfigurationID>
            <s1sarl1:missionDataTakeID>{product.datatake}</s1sarl1:missionDataTakeID>
            <s1sarl1:transmitterReceiverPolarisation>VV</s1sarl1:transmitterReceiverPolarisation>
            <s1sarl1:transmitterReceiverPolarisation>VH</s1sarl1:transmitterReceiverPolarisation>
            <s1sarl1:productClass>S</s1sarl1:productClass>
            <s1sarl1:productClassDescription>SAR Standard L1 Product</s1sarl1:productClassDescription>
            <s1sarl1:productComposition>Slice</s1sarl1:productComposition><s1sarl1:productType>GRD</s1sarl1:productType>
            <s1sarl1:productTimelinessCategory>Fast-24h</s1sarl1:productTimelinessCategory>
            <s1sarl1:sliceProductFlag>true</s1sarl1:sliceProductFlag>
            <s1sarl1:segmentStartTime>{_text(product.start)}</s1sarl1:segmentStartTime>
            <s1sarl1:sliceNumber>1</s1sarl1:sliceNumber><s1sarl1:totalSlices>1</s1sarl1:totalSlices>
            </s1sarl1:standAloneProductInformation>""",
        "acquisitionPeriod": f"""<safe:acquisitionPeriod><safe:startTime>{_text(product.start)}</safe:startTime>
            <safe:stopTime>{_text(product.stop)}</safe:stopTime><safe:extension><s1:timeANX>
            <s1:startTimeANX>{(product.start - product.node) / _MS:.6e}</s1:startTimeANX>
            <s1:stopTimeANX>{(product.stop - product.node) / _MS:.6e}</s1:stopTimeANX></s1:timeANX></safe:extension>
            </safe:acquisitionPeriod>""",
        "measurementFrameSet": f"""<safe:frameSet><safe:frame>
            <safe:footPrint srsName="http://www.opengis.net/gml/srs/epsg.xml#4326">
            <gml:coordinates>{corners}</gml:coordinates></safe:footPrint></safe:frame></safe:frameSet>""",
    }
    wrapped = [
        f'<metadataObject ID="{name}" classification="{kind}" category="{category}"><metadataWrap mimeType="text/xml" '
        f'vocabularyName="SAFE" textInfo="{name}"><xmlData>{body}</xmlData></metadataWrap></metadataObject>'
        for name, body in parts.items()
        for kind, category in [("PROVENANCE", "PDI") if name == "processing" else ("DESCRIPTION", "DMD")]
    ]
    safe, line = "http://www.esa.int/safe/sentinel-1.0", "\n"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:gml="http://www.opengis.net/gml" xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:safe="{safe}"
 xmlns:s1="{safe}/sentinel-1" xmlns:s1sarl1="{safe}/sentinel-1/sar/level-1"
 version="esa/safe/sentinel-1.0/sentinel-1/sar/level-1/grd/standard/iwdp">
<informationPackageMap>
<xfdu:contentUnit unitType="SAFE Archive Information Package" textInfo="Sentinel-1 IW Level-1 GRD Product"
 dmdID="{" ".join(list(parts)[1:])}" pdiID="processing">
{line.join(units)}
</xfdu:contentUnit>
</informationPackageMap>
<metadataSection>
{line.join(notes + wrapped)}
</metadataSection>
<dataObjectSection>
{line.join(objects)}
</dataObjectSection>
</xfdu:XFDU>
"""
