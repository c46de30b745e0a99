"""What cells print while nobody looks: the tab is closed, the notebook opened again."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser, Page, expect

from hub.lab import Lab
from tests.support.awaiting import awaited
from tests.support.browser import chromium, needs_chromium

pytestmark = [pytest.mark.browser, needs_chromium]

WAITS = """
import os, time
from pathlib import Path
def wait(name):
    while not Path(name).exists():
        time.sleep(0.05)
def here(name):
    Path(name).touch()
"""
RUNS = """
from IPython.display import HTML, display
print("begun", flush=True)
here("begun")
wait("closed")
for n in range(5):
    print("\\rpart", n, end="", flush=True)
print("\\nbehind closed doors", flush=True)
display(HTML("<b id=bold>bold words</b>"))
here("printed")
wait("opened")
print("before your eyes")
6 * 7
"""
LAST = "print('the last', 'cell')\nhere('ended')"


@pytest.fixture(scope="module")
def lab(tmp_path_factory, sample: Path):
    with Lab(tmp_path_factory.mktemp("lab"), sample=sample) as lab:
        kernel = {"name": "geodes", "display_name": "GEODES (Python · Dask)", "language": "python"}
        folder = lab.state / "home" / "notebooks"
        folder.mkdir(parents=True)
        for name in ("long", "other"):
            cells = [new_code_cell(cell.strip()) for cell in (WAITS, RUNS, LAST)]
            nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / f"{name}.ipynb")
        yield lab


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


def opened(lab: Lab, browser: Browser, name: str, *, link: str = "") -> Page:
    root = lab.url.split("/hub/")[0]
    context = browser.contexts[0] if browser.contexts else browser.new_context(viewport={"width": 1300, "height": 900})
    page = context.new_page()
    if link:
        page.goto(link)
        page.wait_for_selector(".jp-Notebook", timeout=90_000)
    page.goto(f"{root}/hub/user-redirect/lab/tree/notebooks/{name}.ipynb?reset")
    expect(page.locator(".jp-NotebookPanel:visible .jp-CodeCell").nth(2)).to_be_attached(timeout=60_000)
    expect(page.get_by_role("button", name="GEODES (Python · Dask) |")).to_be_visible(timeout=60_000)
    return page


def run_all(page: Page) -> None:
    expect(page.get_by_role("button", name="GEODES (Python · Dask) | Idle")).to_be_visible(timeout=60_000)
    page.locator(".jp-NotebookPanel:visible .jp-CodeCell").first.click()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


@pytest.mark.slow  # a minute of a browser; tests/hub/singleuser/test_recording.py does the same by the kernel's messages
def test_outputs_of_a_cell_whose_tab_was_closed_are_there_and_go_on(lab, browser):
    folder = lab.state / "home" / "notebooks"
    page = opened(lab, browser, "long", link=lab.url)
    # Nothing of shared editing is loaded where no operator chose it: files are saved as the person says.
    told = json.loads(page.evaluate("document.getElementById('jupyter-config-data').textContent"))
    loaded = {extension["name"] for extension in told["federated_extensions"]}
    assert "geodes-lab-missed" in loaded
    assert not {"@jupyter/collaboration-extension", "@jupyter/docprovider-extension"} & loaded
    assert page.request.get(f"{lab.url.split('/hub/')[0]}{told['baseUrl']}api/collaboration/timeline/a").status == 404
    run_all(page)
    awaited((folder / "begun").exists, 60)
    page.close()
    (folder / "closed").touch()
    awaited((folder / "printed").exists, 60)
    page = opened(lab, browser, "long")
    cells = page.locator(".jp-NotebookPanel:visible .jp-CodeCell")
    expect(cells.nth(1)).to_contain_text("behind closed doors", timeout=30_000)
    assert cells.nth(1).locator(".jp-OutputArea-output").first.inner_text().split("\n")[:3] == [
        "begun",
        "part 4",
        "behind closed doors",
    ]
    expect(cells.nth(1).locator("b#bold")).to_have_text("bold words")
    expect(cells.nth(1).locator(".jp-InputArea-prompt")).to_have_text("[*]:")
    expect(page.get_by_text("3 cells ran while this notebook was closed")).to_have_count(1)
    (folder / "opened").touch()
    expect(cells.nth(1)).to_contain_text("before your eyes", timeout=30_000)
    expect(cells.nth(1)).to_contain_text("42")
    expect(cells.nth(1).locator(".jp-InputArea-prompt").first).to_have_text("[2]:", timeout=60_000)
    expect(cells.nth(2)).to_contain_text("the last cell")
    expect(cells.nth(2).locator(".jp-InputArea-prompt").first).to_have_text("[3]:", timeout=60_000)
    # Saved, it is forgotten: the notebook has it.
    with page.expect_response(lambda r: "geodes/missed" in r.url and r.request.method == "DELETE"):
        cells.nth(0).locator(".jp-InputArea-prompt").click()
        page.keyboard.press("Control+s")
    saved = nbformat.read(folder / "long.ipynb", 4)
    assert "behind closed doors" in saved.cells[1].outputs[0].text
    assert saved.cells[1].execution_count == 2
    with page.expect_response(
        lambda r: "geodes/missed" in r.url and r.request.method == "GET", timeout=60_000
    ) as asked:
        page.reload()
    assert asked.value.json() == {"executions": []}
    page.close()


# Of the long ones: 25 s more for another place of the same outputs.
@pytest.mark.slow
def test_cell_that_was_never_saved_is_put_beside_the_saved_one(lab, browser):
    folder = lab.state / "home" / "notebooks"
    page = opened(lab, browser, "other", link="" if browser.contexts else lab.url)
    for name in ("begun", "closed", "printed", "opened", "ended"):
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
    cells = page.locator(".jp-NotebookPanel:visible .jp-CodeCell")
    expect(page.get_by_role("button", name="GEODES (Python · Dask) | Idle")).to_be_visible(timeout=60_000)
    cells.nth(2).locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.type("here('begun'); wait('closed'); print(6 * 7, 'never saved'); here('ended')")
    run_all(page)
    (folder / "opened").touch()  # the cell before it does not wait
    (folder / "closed").touch()
    awaited((folder / "ended").exists, 60)
    page.close(run_before_unload=False)
    page = opened(lab, browser, "other")
    cells = page.locator(".jp-NotebookPanel:visible .jp-CodeCell")
    expect(cells).to_have_count(4, timeout=30_000)
    expect(cells.nth(2)).to_contain_text("the last")
    expect(cells.nth(3)).to_contain_text("42 never saved")
    page.close()
