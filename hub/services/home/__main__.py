"""``python -m hub.services.home``: the first page and the news."""

from __future__ import annotations

import os

from hub.services import serving
from hub.services.home.app import Reception, made
from hub.services.home.news import News
from hub.services.person import Hub

usage, culler = os.environ.get("GEODES_LAB_USAGE", ""), os.environ.get("GEODES_LAB_CULLER", "")
serving.serve(made(Reception(serving.lab(), News(serving.state() / "news.json"), Hub(), usage, culler)), 8015)
