"""``python -m data``: the gate before the datalake."""

from __future__ import annotations

import os

import serving
from person import Hub

from data.gate import made
from data.lake import Lake
from data.tally import Tally

lab = serving.lab()
keys = serving.secret("datalake_key")
tally = Tally(os.environ.get("GEODES_LAB_USAGE_READS", ""), os.environ.get("JUPYTERHUB_API_TOKEN", ""))
serving.serve(made(lab, Lake(lab.datalake, keys), Hub(), tally), 8012)
