"""``python -m home``: the first page and the news."""

from __future__ import annotations

import os

import serving
from person import Hub

from home.app import Reception, made
from home.news import News

usage, culler = os.environ.get("GEODES_LAB_USAGE", ""), os.environ.get("GEODES_LAB_CULLER", "")
serving.serve(made(Reception(serving.lab(), News(serving.state() / "news.json"), Hub(), usage, culler)), 8015)
