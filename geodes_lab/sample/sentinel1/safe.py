"""Files of the sample's Sentinel-1 product: annotation, calibration and noise XML, TIFF with GCPs, manifest, zip."""

from __future__ import annotations

import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod
from rasterio.control import GroundControlPoint
from rasterio.io import MemoryFile

from geodes_lab.sample.sentinel1 import hills
from geodes_lab.sample.sentinel1.document import fields, none, text, xml
from geodes_lab.sample.sentinel1.grd import (
    CALIBRATED,
    HEIGHT,
    INCIDENCE,
    INTERVAL,
    KNOTS,
    LIGHT,
    LINES,
    NOISY,
    SAMPLES,
    SIGMA0,
    SPACING,
    SWATHS,
    Product,
    degrees,
    gains,
    look,
    noise_azimuth,
    noise_range,
    numbers,
    orbit,
)
from geodes_lab.sample.sentinel1.manifest import manifest


def write(product: Product, path: Path) -> None:
    """Write one product as a zip with stored members. The same product always gets the same bytes."""
    members: dict[str, bytes] = {}
    for polarisation in SIGMA0:
        made = hills.numbers(product, polarisation) if isinstance(product, hills.Product) else None
        image = numbers(product, polarisation) if made is None else made
        stem = product.stem(polarisation)
        calibration, noises = _tables(product, polarisation)
        members[f"annotation/{stem}.xml"] = xml("product", _annotation(product, polarisation, image))
        members[f"annotation/calibration/noise-{stem}.xml"] = xml("noise", noises)
        members[f"annotation/calibration/calibration-{stem}.xml"] = xml("calibration", calibration)
        members[f"measurement/{stem}.tiff"] = _tiff(product, image)
    members["manifest.safe"] = manifest(product, members).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(f"{product.name}.SAFE/{name}", product.stop.timetuple()[:6])
            archive.writestr(info, members[name])


def _tables(product: Product, polarisation: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the documents of the calibration and of the noise."""
    header = {"adsHeader": _header(product, polarisation)}
    places = {n: {"azimuthTime": product.time(n), "line": n, "pixel": KNOTS} for n in (*CALIBRATED, *NOISY)}
    vectors = [{**places[n], **gains()} for n in CALIBRATED]
    ranges = [{**places[n], "noiseRangeLut": noise_range(polarisation, n)} for n in NOISY]
    azimuths = [
        fields(f"swath {s}; firstAzimuthLine 0; firstRangeSample {a}; lastAzimuthLine {LINES - 1}; lastRangeSample {b}")
        | dict(zip(("line", "noiseAzimuthLut"), noise_azimuth(s), strict=True))
        for s, (a, b) in SWATHS.items()
    ]
    constant = {"calibrationInformation": fields("absoluteCalibrationConstant 1.000000e+00")}
    noises = {"noiseRangeVectorList": ranges, "noiseAzimuthVectorList": azimuths}
    return header | constant | {"calibrationVectorList": vectors}, header | noises


def _header(product: Product, polarisation: str) -> dict[str, Any]:
    return fields(
        f"missionId {product.platform}; productType GRD; polarisation {polarisation}; mode IW; swath IW; startTime "
        f"{text(product.start)}; stopTime {text(product.stop)}; absoluteOrbitNumber {product.orbit}; "
        f"missionDataTakeId {product.datatake}; imageNumber {product.stem(polarisation)[-3:]}"
    )


def _annotation(product: Product, polarisation: str, image: NDArray[np.uint16]) -> dict[str, Any]:
    """Return the annotation of one image. Lists that the sample does not model, such as attitudes, are empty."""
    first, last, middle = text(product.start), text(product.stop), product.time((LINES - 1) / 2)
    (lon, lon_end), (lat, lat_end) = degrees([0, LINES - 1], [SAMPLES / 2, SAMPLES / 2], product.centre)
    heading = float(Geod(ellps="WGS84").inv(lon, lat, lon_end, lat_end)[0])
    orbits = []
    for seconds in range(-80, 80, 10):
        place, velocity = (dict(zip("xyz", vector.tolist(), strict=True)) for vector in orbit(seconds, product.centre))
        when = middle + timedelta(seconds=seconds)
        orbits.append({"time": when, "frame": "Earth Fixed", "position": place, "velocity": velocity})
    moments = {"outputDataMean": image.mean(), "outputDataStdDev": image.std()}
    image_information = {
        **fields(
            f"productFirstLineUtcTime {first}; productLastLineUtcTime {last}; ascendingNodeTime "
            f"{text(product.node)}; anchorTime {first}; productComposition Slice; sliceNumber 1"
        ),
        "sliceList": [fields(f"sliceNumber 1; sensingStartTime {first}; sensingStopTime {last}")],
        **fields(
            f"slantRangeTime {2 * float(look(0, product.centre)[0]) / LIGHT:.15e}; pixelValue Detected; outputPixels 16 bit Unsigned "
            f"Integer; rangePixelSpacing {SPACING:.6e}; azimuthPixelSpacing {SPACING:.6e}; azimuthTimeInterval "
            f"{INTERVAL:.15e}; azimuthFrequency 4.864863102995529e+02; numberOfSamples {SAMPLES}; numberOfLines "
            f"{LINES}; zeroDopMinusAcqTime 0.000000000000000e+00; incidenceAngleMidSwath {INCIDENCE:.15e}"
        ),
        "imageStatistics": {name: fields(f"re {value:.6e}; im 0.000000e+00") for name, value in moments.items()},
    }
    processing = {
        **fields(
            "rawDataAnalysisUsed true; orbitDataFileUsed true; attitudeDataFileUsed false; "
            "rxVariationCorrectionApplied true; antennaElevationPatternApplied true; antennaAzimuthPatternApplied "
            "true; antennaAzimuthElementPatternApplied true; dcMethod Data Analysis; dcInputData Range Compressed; "
            "rangeSpreadingLossCompensationApplied true; srgrConversionApplied true; detectionPerformed true; "
            "thermalNoiseCorrectionPerformed false; chirpSource Nominal; pgSource Extracted; rrfSpectrum Extended "
            "Tapered; applicationLutId IW_Default"
        ),
        **none("swathProcParams", "inputDimensions"),
        **fields(
            "referenceRange 8.000000000000000e+05; ellipsoidName WGS84; ellipsoidSemiMajorAxis "
            "6.378137000000000e+06; ellipsoidSemiMinorAxis 6.356752314245000e+06; bistaticDelayCorrectionApplied "
            "true; topsFilterConvention Only Echo Lines; orbitSource Auxiliary; attitudeSource Downlink"
        ),
    }
    bounds = "azimuthTime {}; firstAzimuthLine 0; firstRangeSample {}; lastAzimuthLine {}; lastRangeSample {}"
    merges = [
        {"swath": swath, "swathBoundsList": [fields(bounds.format(first, start, LINES - 1, end))]}
        for swath, (start, end) in SWATHS.items()
    ]
    return {
        "adsHeader": _header(product, polarisation),
        "qualityInformation": {"productQualityIndex": 0.0, **none("qualityData")},
        "generalAnnotation": {
            "productInformation": fields(
                f"pass Descending; timelinessCategory Fast-24h; platformHeading {heading:.15e}; projection Ground "
                "Range; rangeSamplingRate 6.434523812571428e+07; radarFrequency 5.405000454334350e+09; "
                "azimuthSteeringRate 1.590368784000000e+00"
            ),
            **none("downlinkInformation"),
            "orbitList": orbits,
            **none("attitude", "rawDataAnalysis", "replicaInformation", "noise"),
            "terrainHeightList": [{"azimuthTime": middle, "value": HEIGHT}],
            **none("azimuthFmRate"),
        },
        "imageAnnotation": {"imageInformation": image_information, "processingInformation": processing},
        "dopplerCentroid": none("dcEstimate"),
        "antennaPattern": none("antennaPattern"),
        "swathTiming": fields("linesPerBurst 0; samplesPerBurst 0") | none("burst"),
        "geolocationGrid": {"geolocationGridPointList": _grid(product)},
        "coordinateConversion": {"coordinateConversionList": _conversions(product)},
        "swathMerging": {"swathMergeList": merges},
    }


def _grid(product: Product) -> list[dict[str, Any]]:
    """Return the geolocation grid: 10 lines by 21 samples, as in every product of this kind."""
    points = []
    for line in np.rint(np.linspace(0, LINES - 1, 10)).astype(int).tolist():
        samples = np.rint(np.linspace(0, SAMPLES - 1, 21)).astype(int)
        (lon, lat), (reach, incidence, elevation) = (
            degrees(line, samples, product.centre),
            look(samples, product.centre),
        )
        points += [
            {"azimuthTime": product.time(line), "slantRangeTime": 2 * reach[n] / LIGHT, "line": line, "pixel": sample}
            | {"latitude": lat[n], "longitude": lon[n], "height": HEIGHT}
            | {"incidenceAngle": incidence[n], "elevationAngle": elevation[n]}
            for n, sample in enumerate(samples)
        ]
    return points


def _conversions(product: Product) -> list[dict[str, Any]]:
    """Return the polynomials between slant and ground range in metres, one per second, with nine coefficients like ESA's."""
    across, reach = np.arange(SAMPLES) * float(SPACING), look(np.arange(SAMPLES), product.centre)[0]
    fit = np.polynomial.Polynomial.fit
    fits = fit(reach - reach[0], across, 4), fit(across, reach, 4)
    flat, slant = (np.append(f.convert().coef, np.zeros(4)) for f in fits)
    polynomials = {"sr0": reach[0], "srgrCoefficients": flat, "gr0": 0.0, "grsrCoefficients": slant}
    return [
        {"azimuthTime": product.time(line), "slantRangeTime": 2 * reach[0] / LIGHT, **polynomials}
        for line in CALIBRATED
    ]


def _tiff(product: Product, image: NDArray[np.uint16]) -> bytes:
    """Encode a TIFF with one strip per line. Its only georeference is the geolocation grid."""
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
