"""``python -m usage``: the accounts of use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import serving
from hubapi import HubApi
from person import Hub

from usage.accounts import Books
from usage.app import made
from usage.collector import Collector

lab = serving.lab()
token = serving.secret(Path(lab.usage.metrics_token_file or "metrics_token").name)
if token.exists():  # a file of the folder of secrets, as it is brought to this service
    lab = replace(lab, usage=replace(lab.usage, metrics_token_file=str(token)))
books = Books(serving.state() / "usage.sqlite")
serving.serve(made(lab, books, Collector(lab, books, HubApi()), Hub()), 8013)
