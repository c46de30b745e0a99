"""What Prometheus reads."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from geodes_lab.policy.limits import verdict
from hub.services.usage.accounts import Books
from hub.services.usage.collector import Collector
from hub.services.usage.costs import Costs
from hub.services.usage.records import this_month


def metrics(books: Books, collector: Collector, costs: Costs) -> bytes:
    """The state of the lab, as text of Prometheus."""
    registry = CollectorRegistry()
    looked = collector.looked
    gauge = lambda name, text, *labels: Gauge(f"geodes_lab_{name}", text, labels, registry=registry)  # noqa: E731
    gauge("up", "Whether the hub answered the last request").set(looked is not None)
    gauge("looked_timestamp_seconds", "When the hub last answered").set(looked.timestamp() if looked else 0)
    running = gauge("running_servers", "Running servers, by profile", "profile")
    for profile, number in Counter(s.profile or "-" for s in collector.running).items():
        running.labels(profile).set(number)
    if looked is None:
        return generate_latest(registry)
    month = this_month(looked)
    cores, memory = (
        gauge("month_core_hours", "Core-hours of this month", "group"),
        gauge("month_memory_gib_hours", "GiB-hours", "group"),
    )
    read = gauge("month_group_read_bytes", "Bytes read from the datalake this month", "group")
    for group, use in books.by_group(month).items():
        cores.labels(group).set(use.core_hours)
        memory.labels(group).set(use.memory_hours)
        read.labels(group).set(use.read)
    collections = gauge("month_read_bytes", "Bytes read from the datalake this month", "collection")
    for collection, size in books.by_collection(month).items():
        collections.labels(collection).set(size)
    part = gauge("quota_used_ratio", "How much of a quota is used", "person", "kind")
    storage = gauge("storage_bytes", "Size of a home", "person")
    for person, use in books.by_person(month).items():
        if person:
            if use.storage is not None:
                storage.labels(person).set(use.storage)
            for kind, used in verdict(asdict(use), collector.groups.get(person, ()), collector.lab).parts.items():
                part.labels(person, kind).set(used)
    bill = costs.bill(month)
    if bill.currency:
        cost = gauge("month_cost", "Costs of this month, in the currency of the prices", "project")
        for project, sums in bill.by("project").items():
            cost.labels(project or "-").set(float(sums.total))
        ratio = gauge("budget_used_ratio", "How much of a budget of this month is spent", "kind", "name")
        for spent in bill.budgets():
            ratio.labels(spent.kind, spent.name).set(float(spent.part))
    return generate_latest(registry)
