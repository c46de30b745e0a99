"""The manifest of the sample's Sentinel-1 products."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from geodes_lab.sample.sentinel1.document import text
from geodes_lab.sample.sentinel1.grd import MS, Product


def manifest(product: Product, members: Mapping[str, bytes]) -> str:
    """Return the document that lists the members, with their sizes and checksums, and the acquisition."""
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
        "processing": f"""<safe:processing name="GRD Post Processing" start="{text(product.stop)}" stop="{text(product.stop)}">
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
            <s1:ascendingNodeTime>{text(product.node)}</s1:ascendingNodeTime></s1:orbitProperties></safe:extension>
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
            <s1sarl1:segmentStartTime>{text(product.start)}</s1sarl1:segmentStartTime>
            <s1sarl1:sliceNumber>1</s1sarl1:sliceNumber><s1sarl1:totalSlices>1</s1sarl1:totalSlices>
            </s1sarl1:standAloneProductInformation>""",
        "acquisitionPeriod": f"""<safe:acquisitionPeriod><safe:startTime>{text(product.start)}</safe:startTime>
            <safe:stopTime>{text(product.stop)}</safe:stopTime><safe:extension><s1:timeANX>
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
