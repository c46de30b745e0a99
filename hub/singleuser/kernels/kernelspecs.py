"""The kernels of the launcher: the lab's own, those that the person made, and those of their groups' environments."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from geodes_lab.environments import group_place, kernel

_LAB = "geodes"
_GROUPS = f"{_LAB}."  # no kernel of a person's own is called so


class Kernels(KernelSpecManager):
    """Jupyter's own, without what the lab's packages bring beside the lab's kernel."""

    ensure_native_kernel = False

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # A hub that does not let files of the home configure the server takes the home out of Jupyter's paths. A kernel
        # is no configuration: it runs when its person starts it. Last, so that none takes the place of the lab's.
        own = os.environ.get("JUPYTER_DATA_DIR") or Path.home() / ".local" / "share" / "jupyter"
        if (kernels := str(Path(own) / "kernels")) not in self.kernel_dirs:
            self.kernel_dirs = [*self.kernel_dirs, kernels]

    def find_kernel_specs(self) -> dict[str, str]:
        """Return the folders of the kernels, by name; those of a group's environments have the lab's files."""
        specs: dict[str, str] = super().find_kernel_specs()
        allowed = {name: folder for name, folder in specs.items() if name == _LAB or not _is_of_the_lab(folder)}
        groups = {one.kernel: allowed[_LAB] for one in group_place.shared()} if _LAB in allowed else {}
        return {**groups, **allowed}

    def get_kernel_spec(self, kernel_name: str) -> Any:
        """Return one kernel.

        Raises
        ------
        NoSuchKernel
            If it is not among those of `find_kernel_specs`.
        """
        if kernel_name.startswith(_GROUPS):
            one = next((one for one in group_place.shared() if one.kernel == kernel_name), None)
            if one is None:
                raise NoSuchKernel(kernel_name)
            folder = super().get_kernel_spec(_LAB).resource_dir
            # Made here, from the lab's own: what another member has written is not read before it is started.
            return self.kernel_spec_class(resource_dir=folder, **kernel.described(one.overlay, Path(folder), one.title))
        spec = super().get_kernel_spec(kernel_name)
        if kernel_name != _LAB and _is_of_the_lab(spec.resource_dir):
            raise NoSuchKernel(kernel_name)
        return spec


def _is_of_the_lab(folder: str) -> bool:
    return Path(folder).resolve().is_relative_to(Path(sys.prefix).resolve())
