"""The acquisition engine beside a plain copy with the same checks."""
