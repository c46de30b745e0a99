"""An assistant in a person's server of a real hub, which passes nothing of its environment on."""

from __future__ import annotations

import pytest

from hub.demo import Visitor, kernel_of
from hub.lab import Lab
from tests.support.paths import TOP

ASSISTANT = """
import json, os
import anyio

told = json.load(open(os.environ["GEODES_LAB_MCP"]))["mcpServers"]["geodes-lab"]

async def go():
    from mcp import Client, StdioServerParameters

    async with Client(StdioServerParameters(command=told["command"], args=told["args"])) as client:
        for profile in (None, "lab"):
            asked = {"collections": "PEPS_S2_L1C", "limit": 1, "profile": profile}
            answer = await client.call_tool("search", asked)
            print(answer.is_error, answer.content[0].text)

anyio.run(go)
"""
RUN = f"""
import os, subprocess, sys
done = subprocess.run([sys.executable, "-c", {ASSISTANT!r}], capture_output=True, text=True)
print(done.stdout, done.stderr, open(os.environ["GEODES_LAB_MCP"]).read())
"""


@pytest.mark.slow  # half a minute
def test_it_has_the_settings_and_the_token_of_the_server(tmp_path, sample, monkeypatch):
    settings = tmp_path / "lab.yaml"
    settings.write_text(f"{(TOP / 'hub' / 'lab.yaml').read_text()}\nassistant: offered\n")
    monkeypatch.setenv("GEODES_LAB_SETTINGS", str(settings))
    with Lab(tmp_path / "state", sample=sample) as running:
        visitor = Visitor(running.url)
        visitor.await_server()
        kernel = kernel_of(visitor)
        reply = kernel.execute(RUN, timeout=240)
        kernel.stop()
    text = "".join(output.get("text", "") for output in reply["outputs"])
    assert text.count("False 1 product of more") == 2, "of the local catalogue, and of the lab's, which wants a token"
    assert "JUPYTERHUB_API_TOKEN" not in text
