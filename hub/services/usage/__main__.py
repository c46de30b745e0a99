"""``python -m hub.services.usage``: the accounts of use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hub.services import serving
from hub.services.hubapi import HubApi
from hub.services.person import Hub
from hub.services.usage.accounts import Books
from hub.services.usage.app import made
from hub.services.usage.collector import Collector

lab = serving.lab()
token = serving.secret(Path(lab.usage.metrics_token_file or "metrics_token").name)
if token.exists():  # a file of the folder of secrets, as it is brought to this service
    lab = replace(lab, usage=replace(lab.usage, metrics_token_file=str(token)))
books = Books(serving.state() / "usage.sqlite")
serving.serve(made(lab, books, Collector(lab, books, HubApi()), Hub()), 8013)
