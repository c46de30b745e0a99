"""``python -m usage``: the accounts of use."""

from __future__ import annotations

import os
from pathlib import Path

import serving
from hubapi import HubApi
from person import Hub

from geodes_lab.policy.account import account
from usage.accounts import Books
from usage.app import made
from usage.collector import Collector

lab = serving.lab()
homes = os.environ.get("GEODES_LAB_HOMES", "")


def home_of(person: str) -> Path:
    """Where a person's home is."""
    return Path(homes.replace("{account}", account(person, lab.servers.account_prefix)))


books = Books(serving.state() / "usage.sqlite")
serving.serve(made(lab, books, Collector(lab, books, HubApi(), home_of if homes else None), Hub()), 8013)
