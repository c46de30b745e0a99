"""What becomes of a piece of work? Jobs go on without the notebook, resume where they stopped, and say what failed.

`submission` writes a job and its units into the `store`; a `runner` takes units by leases and computes them; `job` is
what a person holds.
"""
