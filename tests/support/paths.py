"""Where the project is, and the reference data that the tests read where they lie."""

from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SHARED = TOP.parent / "shared" / "data"
