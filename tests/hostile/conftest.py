"""The child that opens what these tests make, and the files that it may not read."""

from tests.support.products.hostile import canary, opened, refused, sandbox

__all__ = ["canary", "opened", "refused", "sandbox"]
