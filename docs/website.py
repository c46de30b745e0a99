"""Build the documentation: gather the pages in ``build/docs-src``, then Sphinx, where every warning is an error.

``python docs/website.py``: with the notebooks that ``docs/execute.py`` has run; another notebook is shown without
outputs.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import click
import jupytext
import nbformat
import panel
from sphinx.cmd.build import main as sphinx

from docs import execute

HERE = Path(__file__).resolve().parent
TOP = HERE.parent
SOURCE, SITE = TOP / "build" / "docs-src", TOP / "build" / "docs"
_LOAD, _EXECUTED = "application/vnd.holoviews_load.v0+json", "application/vnd.holoviews_exec.v0+json"
_STYLES = "panel-preview/static/extensions/panel/"  # where panel's widgets look for them in the lab


FOLDERS = ("tutorial", "how-to", "explanation", "reference", "operations")
_OUTSIDE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}


def gather() -> None:
    """Copy all pages into one folder, as Sphinx needs them.

    The five folders are copied unchanged; other pages are generated or come from elsewhere.
    """
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    shutil.copy(HERE / "conf.py", SOURCE)
    shutil.copytree(HERE / "images", SOURCE / "images")
    shutil.copytree(HERE / "_static", SOURCE / "_static")
    for folder in FOLDERS:
        shutil.copytree(HERE / folder, SOURCE / folder)
    for page in [HERE / "index.md", *(p for f in FOLDERS for p in (HERE / f).rglob("*.md"))]:
        (SOURCE / page.relative_to(HERE)).write_text(linked(page.read_text(), page))
    shutil.copy(TOP / "geodes_lab" / "geodes_lab.yaml", SOURCE)
    design = SOURCE / "explanation" / "design"
    pages = [p.stem for p in sorted(design.glob("*.md"))]
    listed = "\n".join(
        ["# Design", "", "What was decided, and why.", "", "```{toctree}", ":maxdepth: 1", "", *pages, "```", ""]
    )
    (design / "index.md").write_text(listed)
    for name, there in _OUTSIDE.items():
        (SOURCE / there).write_text(linked((TOP / name).read_text(), TOP / name))
    (SOURCE / "reference" / "cli.md").write_text(commands())
    scripts: set[str] = set()
    for path in sorted((TOP / "notebooks").glob("*.py")):
        notebook = execute.kept(path) or jupytext.read(path)
        scripts |= _still(notebook)
        nbformat.write(notebook, SOURCE / "tutorial" / f"{path.stem}.ipynb")
    if scripts:
        (SOURCE / "_static" / "plots.js").write_text(max(scripts, key=len))
        for folder in ("css", "bundled/theme"):
            shutil.copytree(panel.__path__[0] + f"/dist/{folder}", SOURCE / "_static" / "panel" / folder)


def linked(text: str, page: Path) -> str:
    """Convert the links of a page to those of the site.

    The site has the notebooks in ``tutorial/`` and the project's pages at its top.
    """
    here = page.relative_to(HERE).parent if page.is_relative_to(HERE) else Path()

    def there(match: re.Match[str]) -> str:
        path, mark, part = match[1].partition("#")
        if not path or "://" in path:
            return match[0]
        target = Path(os.path.normpath(page.parent / path))
        if target.is_relative_to(HERE):
            target = target.relative_to(HERE)
        elif target.parent == TOP / "notebooks":
            target = Path("tutorial", target.name)
        elif target.parent == TOP and target.name in _OUTSIDE:
            target = Path(_OUTSIDE[target.name])
        else:
            return match[0]
        return f"]({os.path.relpath(target, here)}{mark}{part})"

    return re.sub(r"\]\(([^)\s]+)\)", there, text)


def commands() -> str:
    """Return the page of the command line, from its own help."""
    from geodes_lab.cli import main

    text = [
        "# Command line", "", "```text", _help(main, "geodes-lab"), "```", "", "Results go to standard output, what "
            "is going on to standard "
        "error, and only where that is a terminal. `--json` gives results for programs. The exit code is 0, 1 where "
        "something "
        "failed (said in a sentence), 2 where the call makes no sense.", "",
        "Words are completed by the shell after `eval \"$(_GEODES_LAB_COMPLETE=bash_source geodes-lab)\"` in "
        "`~/.bashrc`; for zsh "
        "`zsh_source` in `~/.zshrc`, for fish `_GEODES_LAB_COMPLETE=fish_source geodes-lab | source` in its "
        "configuration.", "",
    ]  # fmt: skip
    for name, command in sorted(main.commands.items()):
        text += [f"## geodes-lab {name}", "", "```text", _help(command, f"geodes-lab {name}"), "```", ""]
    return "\n".join(text)


def _help(command: click.Command, name: str) -> str:
    return command.get_help(click.Context(command, info_name=name, max_content_width=110))


def _still(notebook: nbformat.NotebookNode) -> set[str]:
    """Convert the outputs for a page without a kernel: one copy of the plots' script for all, no widgets."""
    notebook.metadata.pop("widgets", None)
    scripts: set[str] = set()
    for cell in (c for c in notebook.cells if c.cell_type == "code"):
        outputs: list[Any] = []
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if script := data.get(_LOAD):
                scripts.add(script)
                continue
            if "application/vnd.jupyter.widget-view+json" in data:
                about = "<p><i>A map to draw on and search; it is alive in the lab.</i></p>"
                output.data = {"text/html": f"{about}<img src='../_static/explore.png' alt='' width='700'>"}
            if _EXECUTED in data or (set(data) == {"text/html"} and "<style>" in data["text/html"]):
                output.data.pop("text/plain", None)
                output.data.pop(_EXECUTED, None)
            if output.output_type in ("execute_result", "display_data"):
                page = "".join(output.data.get("text/html", ""))
                if page:
                    output.data["text/html"] = re.sub(rf"(/user/[^/\"]+)?/{_STYLES}", "../_static/panel/", page)
                if not any("".join(v).strip() if isinstance(v, str | list) else v for v in output.data.values()):
                    continue
            outputs.append(output)
        cell.outputs = outputs
    if scripts:
        # Before the first plot: a page loads it once.
        head = nbformat.v4.new_markdown_cell('```{raw} html\n<script src="../_static/plots.js"></script>\n```')
        notebook.cells.insert(1, head)
    return scripts


def main() -> int:
    """Gather and build; return Sphinx's exit status."""
    gather()
    shutil.rmtree(SITE, ignore_errors=True)
    status = sphinx(
        ["-q", "-W", "--keep-going", "-b", "html", "-d", str(TOP / "build" / "docs-trees"), str(SOURCE), str(SITE)]
    )
    if status == 0:
        print(f"The documentation is in {SITE.relative_to(TOP)}/index.html")
    return status


if __name__ == "__main__":
    sys.exit(main())
