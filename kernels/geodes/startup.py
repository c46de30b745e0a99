"""Runs in the user's namespace when a kernel of the lab starts: short, so that the kernel is ready at once."""

import dask as _dask

import geodes_lab as gl


def _cluster_at_first_use(*args, **options):
    from geodes_lab import cluster

    return cluster.get(*args, **options)


def _one_sentence(shell, kind, error, traceback, tb_offset=None):
    """Show an error of the library as its sentence; its cause is in ``error.__cause__``."""
    sentence = [f"\x1b[1;31mGeodesError\x1b[0m: {error}"]
    # like the kernel's display of any other error: the cell counts as failed
    shell._showtraceback(kind, error, sentence)
    return sentence


def _interrupted(shell, kind, error, traceback, tb_offset=None):
    """Show one line, if what was interrupted is ours or the cluster's: nobody needs to read where it was waiting."""
    packages, frame = set(), traceback
    while frame is not None:
        packages.add(frame.tb_frame.f_globals.get("__name__", "").partition(".")[0])
        frame = frame.tb_next
    if packages & {"dask", "distributed"}:
        lines = ["\x1b[1;31mInterrupted\x1b[0m: the computation is cancelled, on the cluster too."]
    elif "geodes_lab" in packages:
        lines = ["\x1b[1;31mInterrupted\x1b[0m."]
    else:
        lines = shell.InteractiveTB.structured_traceback(kind, error, traceback, tb_offset=tb_offset)
    shell._showtraceback(kind, error, lines)
    return lines


def _show(shell, kind, error, traceback, tb_offset=None):
    short = _one_sentence if issubclass(kind, gl.GeodesError) else _interrupted
    return short(shell, kind, error, traceback, tb_offset)


def _watch_memory(shell):
    """If the previous kernel was killed for its memory, say so above the first cell's output."""
    from ipykernel.connect import get_connection_file

    from geodes_lab.util import memory_watch

    explanation = memory_watch.watch(get_connection_file())
    if explanation:

        def tell(*_):
            import sys

            shell.events.unregister("pre_run_cell", tell)
            print(explanation, file=sys.stderr, flush=True)

        shell.events.register("pre_run_cell", tell)


def _tell_of_own_software(shell):
    """If the person's own packages cannot be used or no longer fit the lab, say so above the first cell's output."""
    import os

    from geodes_lab.environments.overlay import Overlay

    fault = os.environ.pop("GEODES_LAB_OVERLAY_FAULT", "")
    left, overlay = os.environ.pop("GEODES_LAB_OVERLAY_LEFT", ""), Overlay.present()
    if left or overlay is not None:
        from pathlib import Path

        from geodes_lab.environments import upgrade

        news = upgrade.misfits(Overlay(Path(left))) if left else upgrade.news(overlay)
        fault = " ".join(filter(None, [fault, news]))
    if fault:

        def tell(*_):
            import sys

            shell.events.unregister("pre_run_cell", tell)
            print(fault, file=sys.stderr, flush=True)

        shell.events.register("pre_run_cell", tell)


def _import_the_rest(shell):
    """If the notebook came before this kernel had imported all that it wanted to, go on while no cell runs."""
    from geodes_lab.environments import waiting

    if waiting.left:
        from geodes_lab.environments.imports_ahead import Ahead

        ahead = Ahead([name for name in waiting.left if name not in waiting.LAST], waiting.LAST)
        shell.events.register("pre_execute", ahead.pause)
        shell.events.register("post_execute", ahead.go_on)


_dask.config.set(scheduler=_cluster_at_first_use)
_watch_memory(get_ipython())  # noqa: F821
_tell_of_own_software(get_ipython())  # noqa: F821
get_ipython().set_custom_exc((gl.GeodesError, KeyboardInterrupt), _show)  # noqa: F821
_import_the_rest(get_ipython())  # noqa: F821
