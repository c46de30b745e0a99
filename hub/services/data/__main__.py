"""``python -m hub.services.data``: the gate before the datalake."""

from __future__ import annotations

import os

from hub.services import serving
from hub.services.data.gate import made
from hub.services.data.lake import Lake
from hub.services.data.tally import Tally
from hub.services.person import Hub

lab = serving.lab()
keys = serving.secret("datalake_key")
usage = os.environ.get("GEODES_LAB_USAGE", "")
tally = Tally(usage and f"{usage}/api/reads", os.environ.get("JUPYTERHUB_API_TOKEN", ""))
serving.serve(made(lab, Lake(lab.datalake, keys), Hub(), tally), 8012)
