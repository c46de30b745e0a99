"""Settings for Jupyter's other programs in a terminal of the lab (nbconvert, console).

Their kernels accept only their own account, too.
"""

c = get_config()  # type: ignore[name-defined]  # noqa: F821

c.KernelManager.transport = "ipc"
