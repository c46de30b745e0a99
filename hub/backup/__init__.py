"""A copy of all that a lab keeps, and the way back: ``python -m hub.backup``."""
