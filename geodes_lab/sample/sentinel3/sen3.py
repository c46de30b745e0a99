"""Sentinel-3's altimeter products in ESA's form: a SEN3 folder in one zip, NetCDF-4 and a manifest."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import h5netcdf
import numpy as np

from geodes_lab.sample.sentinel3 import layouts, products
from geodes_lab.sample.sentinel3.products import Product
from geodes_lab.sample.sentinel3.variable import Variable

_FILL = 2.0**64  # ESA's fill value for doubles
# Metadata whose identifier is longer than its element.
_MEASURED = ("orbitReference", "qualityInformation", "frameSet")
_SAFE = "http://www.esa.int/safe/sentinel"


def write(product: Product, path: Path) -> None:
    """Write one product as a zip with stored members. The same product always gets the same bytes.

    The NetCDF contains the versions of the libraries that wrote it, so other versions give other bytes.
    """
    members = {name: _measurement(product, what) for name, what in layouts.files(product).items()}
    members["xfdumanifest.xml"] = _manifest(product, members).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(f"{product.name}.SEN3/{name}", product.generation.timetuple()[:6])
            archive.writestr(info, content)


def _measurement(product: Product, variables: list[Variable]) -> bytes:
    (lon, lat), buffer = products.track(product.seconds), io.BytesIO()
    moments = {"first_meas_time": product.start, "last_meas_time": product.stop}
    with h5netcdf.File(buffer, "w") as file:
        file.dimensions = {d: n for v in variables for d, n in zip(v.dims, np.shape(v.values), strict=True)}
        file.attrs["Conventions"] = "CF-1.6"
        file.attrs["title"] = f"IPF SRAL Level {product.kind[3]} Measurement"
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
        for variable in variables:
            _write(file, variable)
    return buffer.getvalue()


def _write(file: h5netcdf.File, what: Variable) -> None:
    real = what.kind == "f8"
    filler = None if not what.fills else _FILL if real else np.iinfo(what.kind).max
    stored = what.values if real else np.rint((what.values - what.offset) / what.scale)
    stored = np.where(np.isnan(stored), 0 if filler is None else filler, stored).astype(what.kind)
    variable = file.create_variable(what.name, what.dims, what.kind, data=stored, fillvalue=filler, chunks=what.chunks)
    attributes = {
        "long_name": what.title,
        "units": what.units,
        "standard_name": what.standard,
        "coordinates": what.places,
    }
    for key, text in attributes.items():
        if text:
            variable.attrs[key] = text
    if what.scale != 1:
        variable.attrs["scale_factor"], variable.attrs["add_offset"] = np.float64(what.scale), np.float64(what.offset)
    if what.meanings:
        variable.attrs["flag_values"] = np.arange(len(what.meanings.split()), dtype="i1")
        variable.attrs["flag_meanings"] = what.meanings


def _tags(prefix: str, fields: str) -> str:
    """Return elements from ``name value; name value``."""
    pairs = (field.split(" ", 1) for field in fields.split("; "))
    return "".join(f"<{prefix}:{name}>{value}</{prefix}:{name}>" for name, value in pairs)


def _manifest(product: Product, files: dict[str, bytes]) -> str:
    start, stop, processed = (f"{t:%Y-%m-%dT%H:%M:%S.%fZ}" for t in (product.start, product.stop, product.generation))
    # Counted from a real orbit: 28009 was orbit 316 of cycle 73; a cycle has 385 orbits.
    orbit = 28009 + (product.cycle - 73) * 385 + product.orbit - 316
    numbers = {"orbitNumber": orbit, "relativeOrbitNumber": product.orbit}
    numbers |= {"passNumber": 2 * orbit, "relativePassNumber": 2 * product.orbit}
    orbits = "".join(
        f'<sentinel-safe:{name} groundTrackDirection="descending" type="{end}">{number}</sentinel-safe:{name}>'
        for name, number in numbers.items()
        for end in ("start", "stop")
    )
    ring = " ".join(f"{lat:.4f} {lon:.4f}" for lon, lat in product.footprint)
    lake = round(100 * float((products.surface_type(product.seconds) == 1).mean()))
    level, size = product.kind[3], sum(map(len, files.values()))
    general = _tags(
        "sentinel3",
        f"productName {product.name}.SEN3; productType {product.kind:_<11}; timeliness {product.timeliness}; "
        f"baselineCollection 004; creationTime {product.generation:%Y%m%dT%H%M%S}; productSize {size}; "
        "dispositionMode Operational",
    )
    radar = _tags(
        "sral",
        "ellipsoidSemiMajorAxis 6378137.000000; ellipsoidFlattening 0.003353; lrmModePercentage 0; sarModePercentage "
        f"100; landPercentage {100 - lake}; closedSeaPercentage {lake}; continentalIcePercentage 0; "
        "openOceanPercentage 0",
    )
    parts = {
        "processing": f"""<sentinel-safe:processing name="DataProcessing" outputLevel="{level}" start="{processed}" stop="{processed}">
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
    units, data = "", ""
    for name, content in files.items():
        one = name.removesuffix(".nc").replace("_measurement", "Measurement").replace("measurement_", "measurement")
        units += f"""      <xfdu:contentUnit ID="{one}Unit" unitType="Measurement Data Unit" textInfo="Measurement Data Set">
        <dataObjectPointer dataObjectID="{one}Data"/>
      </xfdu:contentUnit>
"""
        data += f"""    <dataObject ID="{one}Data">
      <byteStream mimeType="application/x-netcdf" size="{len(content)}">
        <fileLocation locatorType="URL" href="{name}" textInfo="Measurement Data Object File"/>
        <checksum checksumName="MD5">{hashlib.md5(content).hexdigest()}</checksum>
      </byteStream>
    </dataObject>
"""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:sentinel-safe="{_SAFE}/1.1" xmlns:gml="http://www.opengis.net/gml"
 xmlns:sentinel3="{_SAFE}/sentinel-3/1.0" xmlns:sral="{_SAFE}/sentinel-3/sral/1.0"
 version="esa/safe/sentinel/sentinel-3/sral/level-{level}/1.0">
  <informationPackageMap>
    <xfdu:contentUnit ID="packageUnit" unitType="Information Package" textInfo="SENTINEL-3 SRAL Level {level}"
     pdiID="processing" dmdID="{" ".join(about)}">
{units}    </xfdu:contentUnit>
  </informationPackageMap>
  <metadataSection>
{objects}  </metadataSection>
  <dataObjectSection>
{data}  </dataObjectSection>
</xfdu:XFDU>
"""
