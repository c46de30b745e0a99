"""For Jupyter's other programs in a terminal of the lab (nbconvert, console): their kernels speak to their own account alone, too."""

c = get_config()  # noqa: F821

c.KernelManager.transport = "ipc"
