"""Files of the sample's Sentinel-1 product: annotation, calibration and noise XML, TIFF with GCPs, manifest, zip."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod
from rasterio.control import GroundControlPoint
from rasterio.io import MemoryFile

from geodes_lab.sample.sentinel1 import hills
from geodes_lab.sample.sentinel1.grd import (
    CALIBRATED,
    HEIGHT,
    INCIDENCE,
    INTERVAL,
    KNOTS,
    LIGHT,
    LINES,
    MS,
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
    members["manifest.safe"] = _manifest(product, members).encode()
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
        _fields(
            f"swath {s}; firstAzimuthLine 0; firstRangeSample {a}; lastAzimuthLine {LINES - 1}; lastRangeSample {b}"
        )
        | dict(zip(("line", "noiseAzimuthLut"), noise_azimuth(s), strict=True))
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
    """Return the annotation of one image. Lists that the sample does not model, such as attitudes, are empty."""
    first, last, middle = _text(product.start), _text(product.stop), product.time((LINES - 1) / 2)
    (lon, lon_end), (lat, lat_end) = degrees([0, LINES - 1], [SAMPLES / 2, SAMPLES / 2], product.centre)
    heading = float(Geod(ellps="WGS84").inv(lon, lat, lon_end, lat_end)[0])
    orbits = []
    for seconds in range(-80, 80, 10):
        place, velocity = (dict(zip("xyz", vector.tolist(), strict=True)) for vector in orbit(seconds, product.centre))
        when = middle + timedelta(seconds=seconds)
        orbits.append({"time": when, "frame": "Earth Fixed", "position": place, "velocity": velocity})
    moments = {"outputDataMean": image.mean(), "outputDataStdDev": image.std()}
    image_information = {
        **_fields(
            f"productFirstLineUtcTime {first}; productLastLineUtcTime {last}; ascendingNodeTime "
            f"{_text(product.node)}; anchorTime {first}; productComposition Slice; sliceNumber 1"
        ),
        "sliceList": [_fields(f"sliceNumber 1; sensingStartTime {first}; sensingStopTime {last}")],
        **_fields(
            f"slantRangeTime {2 * float(look(0, product.centre)[0]) / LIGHT:.15e}; pixelValue Detected; outputPixels 16 bit Unsigned "
            f"Integer; rangePixelSpacing {SPACING:.6e}; azimuthPixelSpacing {SPACING:.6e}; azimuthTimeInterval "
            f"{INTERVAL:.15e}; azimuthFrequency 4.864863102995529e+02; numberOfSamples {SAMPLES}; numberOfLines "
            f"{LINES}; zeroDopMinusAcqTime 0.000000000000000e+00; incidenceAngleMidSwath {INCIDENCE:.15e}"
        ),
        "imageStatistics": {name: _fields(f"re {value:.6e}; im 0.000000e+00") for name, value in moments.items()},
    }
    processing = {
        **_fields(
            "rawDataAnalysisUsed true; orbitDataFileUsed true; attitudeDataFileUsed false; "
            "rxVariationCorrectionApplied true; antennaElevationPatternApplied true; antennaAzimuthPatternApplied "
            "true; antennaAzimuthElementPatternApplied true; dcMethod Data Analysis; dcInputData Range Compressed; "
            "rangeSpreadingLossCompensationApplied true; srgrConversionApplied true; detectionPerformed true; "
            "thermalNoiseCorrectionPerformed false; chirpSource Nominal; pgSource Extracted; rrfSpectrum Extended "
            "Tapered; applicationLutId IW_Default"
        ),
        **_none("swathProcParams", "inputDimensions"),
        **_fields(
            "referenceRange 8.000000000000000e+05; ellipsoidName WGS84; ellipsoidSemiMajorAxis "
            "6.378137000000000e+06; ellipsoidSemiMinorAxis 6.356752314245000e+06; bistaticDelayCorrectionApplied "
            "true; topsFilterConvention Only Echo Lines; orbitSource Auxiliary; attitudeSource Downlink"
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
                f"pass Descending; timelinessCategory Fast-24h; platformHeading {heading:.15e}; projection Ground "
                "Range; rangeSamplingRate 6.434523812571428e+07; radarFrequency 5.405000454334350e+09; "
                "azimuthSteeringRate 1.590368784000000e+00"
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


def _fields(text: str) -> dict[str, Any]:
    """Return elements from ``name value; name value``."""
    return dict(field.split(" ", 1) for field in text.split("; "))


def _none(*names: str) -> dict[str, list[Any]]:
    return {f"{name}List": [] for name in names}


def xml(root: str, content: Mapping[str, Any]) -> bytes:
    """Return a document of nested elements. Lists and arrays have their length in ``count``."""
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
    """Return a value in ESA's format: 15 decimals for a double, 6 for a float; a time has microseconds and no zone."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(timespec="microseconds")
    if isinstance(value, np.float32):
        return f"{value:.6e}"
    return f"{value:.15e}" if isinstance(value, float) else str(value)


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
            f'<dataObject ID="{identity}" repID="{schema}"><byteStream mimeType="{mime}" '
            f'size="{len(data)}"><fileLocation locatorType="URL" href="./{path}"/><checksum '
            f'checksumName="MD5">{hashlib.md5(data).hexdigest()}</checksum></byteStream></dataObject>'
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
            <s1:startTimeANX>{(product.start - product.node) / MS:.6e}</s1:startTimeANX>
            <s1:stopTimeANX>{(product.stop - product.node) / MS:.6e}</s1:stopTimeANX></s1:timeANX></safe:extension>
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
