"""The words of CDSE's OData: conditions, and products as it describes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from shapely.errors import ShapelyError
from shapely.geometry import shape

from geodes_lab.acquisition.publication import Publication, Withdrawal
from geodes_lab.acquisition.settings.wanted import Wanted
from geodes_lab.errors import GeodesError
from geodes_lab.util import instant

_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_HASHES = {"MD5": "d50110", "BLAKE3": "1e20", "SHA256": "1220", "SHA3-256": "1620"}
# CDSE's attributes, and STAC's properties.
_NAMES = {
    "productType": "product:type",
    "processingLevel": "processing:level",
    "processorVersion": "processing:version",
    "processingDate": "processing:datetime",
    "orbitNumber": "sat:absolute_orbit",
    "relativeOrbitNumber": "sat:relative_orbit",
    "orbitDirection": "sat:orbit_state",
    "cloudCover": "eo:cloud_cover",
    "timeliness": "product:timeliness",
    "datastripId": "s2:datastrip_id",
    "instrumentShortName": "instrument",
}
_NUMBERS = {"sat:absolute_orbit", "sat:relative_orbit", "eo:cloud_cover"}


def condition(
    wanted: Wanted, area: str | None, start: datetime | None, end: datetime | None, order: str, since: str
) -> str:
    """Return a ``$filter``: what the settings want, from a time of publication or deletion on."""
    parts = []
    if wanted.upstream:
        parts.append(f"Collection/Name eq {_text(wanted.upstream)}")
    if wanted.names:
        parts.append(f"startswith(Name,{_text(wanted.names)})")
    if start is not None:
        parts.append(f"ContentDate/Start ge {_time(start)}")
    if end is not None:
        parts.append(f"ContentDate/Start lt {_time(end)}")
    # What is deleted is compared by its Id.
    if order == "PublicationDate":
        if wanted.product_type:
            parts.append(_attribute("String", "productType", "eq", _text(wanted.product_type)))
        if wanted.cloud_cover is not None:
            parts.append(_attribute("Double", "cloudCover", "le", f"{wanted.cloud_cover:.2f}"))
        if area is not None:
            parts.append(f"OData.CSC.Intersects(area=geography'SRID=4326;{area}')")
    if since:
        parts.append(f"{order} ge {_time(datetime.fromisoformat(since))}")
    if not parts:
        raise GeodesError("A collection of CDSE needs upstream, such as SENTINEL-2: else it is everything.")
    return " and ".join(parts)


def page(answer: Any, source: str) -> list[dict[str, Any]]:
    """Return the products of an answer.

    Raises
    ------
    GeodesError
        If it has none, not even an empty list: the service has changed.
    """
    products = answer.get("value") if isinstance(answer, dict) else None
    if not isinstance(products, list) or not all(isinstance(p, dict) for p in products):
        raise GeodesError(f"{source} answered without a list of products: its service has changed.")
    return products


def moments(products: Sequence[dict[str, Any]], order: str, source: str) -> list[str]:
    """Return the times that a page is ordered by; of products without one, `publication` says so.

    Raises
    ------
    GeodesError
        If no product has one: the service has changed.
    """
    times = [instant.text(time) for p in products if (time := instant.utc(p.get(order))) is not None]
    if not times:
        raise GeodesError(f"{source} has {len(products)} products without {order}: its service has changed.")
    return times


def publications(
    products: Sequence[dict[str, Any]], download: str
) -> tuple[tuple[Publication, ...], tuple[tuple[str, str], ...]]:
    """Return products that are understood, and the names of others, each with a sentence."""
    good, bad = list[Publication](), list[tuple[str, str]]()
    for product in products:
        try:
            good.append(publication(product, download))
        except GeodesError as error:
            bad.append((str(product.get("Id"))[:100], str(error)))
    return tuple(good), tuple(bad)


def publication(product: dict[str, Any], download: str) -> Publication:
    """Return one product.

    Raises
    ------
    GeodesError
        If its description is not understood.
    """
    name, id_ = product.get("Name"), product.get("Id")
    if not isinstance(name, str) or not isinstance(id_, str) or not _ID.fullmatch(id_):
        raise GeodesError(
            f"A product of CDSE has no valid name and Id ({str(name)[:100]!r}, {str(id_)[:60]!r}): refused."
        )
    try:
        published = instant.utc(product["PublicationDate"])
        size = product.get("ContentLength")
        span = product.get("ContentDate") or {}
        geometry = product.get("GeoFootprint")
        if geometry is not None and not shape(geometry).is_valid:
            geometry = None  # then the product's own footprint is used
        checksums = tuple(
            f"{_HASHES[c['Algorithm']]}{c['Value'].lower()}"
            for c in product.get("Checksum") or ()
            if c.get("Algorithm") in _HASHES and isinstance(c.get("Value"), str) and c["Value"]
        )
        if published is None:
            raise ValueError("it has no PublicationDate")
        return Publication(
            id_,
            name,
            published,
            (f"{download}/Products({quote(id_)})/$value",),
            size or None,  # 0: not known yet
            checksums,
            str(product.get("ModificationDate") or "") if not checksums else "",
            _properties(product, span),
            geometry,
            bool(product.get("Online", True)),
        )
    except (TypeError, ValueError, KeyError, AttributeError, ShapelyError) as error:
        raise GeodesError(
            f"{name[:200]} is described by CDSE in a way that is not understood ({error}): refused."
        ) from error


def withdrawals(products: Sequence[dict[str, Any]]) -> tuple[Withdrawal, ...]:
    """Return products that were deleted."""
    return tuple(
        Withdrawal(str(p.get("Id")), str(p.get("Name")), when, str(p.get("DeletionCause") or "")[:200])
        for p in products
        if (when := instant.utc(p.get("DeletionDate"))) is not None
    )


def notices(answer: Any, source: str) -> list[dict[str, Any]]:
    """Return the notices of a subscription."""
    several = answer if isinstance(answer, list) else answer.get("value") if isinstance(answer, dict) else None
    if not isinstance(several, list) or not all(
        isinstance(n, dict) and isinstance(n.get("AckId"), str) for n in several
    ):
        raise GeodesError(f"The subscription of {source} answered without a list of notices: its service has changed.")
    return several


def of_notices(
    several: Sequence[dict[str, Any]], wanted: Wanted, download: str
) -> tuple[tuple[Publication, ...], tuple[Withdrawal, ...], str]:
    """Return what notices announce, and the token that acknowledges all of them: they come in order."""
    products = [
        n["value"] for n in several if isinstance(n.get("value"), dict) and n.get("SubscriptionEvent") != "deleted"
    ]
    good, _ = publications(products, download)
    gone = tuple(
        Withdrawal(
            str(n.get("ProductId")),
            str(n.get("ProductName")),
            instant.utc(n.get("NotificationDate")) or datetime.now(UTC),
        )
        for n in several
        if n.get("SubscriptionEvent") == "deleted"
    )
    return tuple(p for p in good if _is_wanted(p, wanted)), gone, several[-1]["AckId"]


def _is_wanted(publication: Publication, wanted: Wanted) -> bool:
    properties = publication.properties
    cloud = properties.get("eo:cloud_cover")
    return (
        (not wanted.names or publication.name.startswith(wanted.names))
        and (not wanted.product_type or properties.get("product:type") == wanted.product_type)
        and (wanted.cloud_cover is None or cloud is None or cloud <= wanted.cloud_cover)
        and (not wanted.upstream or properties.get("constellation", "") == wanted.upstream.lower())
    )


def _properties(product: dict[str, Any], span: dict[str, Any]) -> dict[str, Any]:
    has = {a["Name"]: a["Value"] for a in product.get("Attributes") or () if {"Name", "Value"} <= a.keys()}
    properties: dict[str, Any] = {}
    for name, ours in _NAMES.items():
        value = has.get(name)
        if ours in _NUMBERS:
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                properties[ours] = value
        elif isinstance(value, str) and value:
            properties[ours] = value.lower() if ours == "sat:orbit_state" else value
    mission, serial = str(has.get("platformShortName") or ""), str(has.get("platformSerialIdentifier") or "")
    if mission:
        properties["constellation"] = mission.lower()
        properties["platform"] = f"{mission.replace('SENTINEL-', 'S')}{serial}"
    if isinstance(tile := has.get("tileId"), str):
        properties["grid:code"] = f"MGRS-{tile}"
    if isinstance(channels := has.get("polarisationChannels"), str):
        properties["sar:polarizations"] = re.findall(r"[HV]{2}", channels)
    if "SAR" in str(has.get("instrumentShortName")) and isinstance(mode := has.get("operationalMode"), str):
        properties["sar:instrument_mode"] = mode
    for ours, key in (("start_datetime", "Start"), ("end_datetime", "End")):
        if (time := instant.utc(span.get(key))) is not None:
            properties[ours] = instant.text(time)
    return properties


def _attribute(kind: str, name: str, operator: str, value: str) -> str:
    return (
        f"Attributes/OData.CSC.{kind}Attribute/any(att:att/Name eq '{name}' and "
        f"att/OData.CSC.{kind}Attribute/Value {operator} {value})"
    )


def _text(value: str) -> str:
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
