"""The server of a person that computes jobs: it has a name of its own, and no JupyterLab in it."""

from __future__ import annotations

NAME = "jobs"
"""Of the one named server that the lab has."""
