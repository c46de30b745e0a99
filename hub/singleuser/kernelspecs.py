"""The kernels of the launcher: the lab's own, and those that the person made."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

_LAB = "geodes"


class Kernels(KernelSpecManager):
    """Jupyter's own, without what the lab's packages bring beside the lab's kernel."""

    ensure_native_kernel = False

    def find_kernel_specs(self) -> dict[str, str]:
        """Return the folders of the kernels, by name."""
        specs: dict[str, str] = super().find_kernel_specs()
        return {name: folder for name, folder in specs.items() if name == _LAB or not _is_of_the_lab(folder)}

    def get_kernel_spec(self, kernel_name: str) -> Any:
        """Return one kernel.

        Raises
        ------
        NoSuchKernel
            If it is not among those of `find_kernel_specs`.
        """
        spec = super().get_kernel_spec(kernel_name)
        if kernel_name != _LAB and _is_of_the_lab(spec.resource_dir):
            raise NoSuchKernel(kernel_name)
        return spec


def _is_of_the_lab(folder: str) -> bool:
    return Path(folder).resolve().is_relative_to(Path(sys.prefix).resolve())
