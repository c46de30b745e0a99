"""A server's port: the hub takes it, who comes early waits for the server, and a server that ends gives it back."""

import asyncio
import socket
import sys
from types import SimpleNamespace

import pytest

from hub.servers.held import OwnServer

_SERVES_AT_A_WORD = """
import os, socket, sys
held = socket.socket(fileno=int(os.environ["GEODES_LAB_LISTEN"]))
if sys.stdin.readline() == "serve\\n":
    one, _ = held.accept()
    one.sendall(b"here I am")
"""


class Server(OwnServer):
    """One that needs no hub; it waits for a word on its standard input."""

    def make_preexec_fn(self, name):
        return None

    def get_args(self):
        return []

    def user_env(self, env):
        return env

    def get_env(self):
        return {"GEODES_LAB_LISTEN": str(self._held.fileno())}


@pytest.mark.skipif(sys.platform != "linux", reason="waits for the end of a process by its descriptor (Linux)")
def test_who_comes_early_is_answered_and_a_server_that_ends_is_missed_at_once():
    async def of_a_server(word: bytes):
        server = Server(cmd=[sys.executable, "-c", _SERVES_AT_A_WORD], user=SimpleNamespace(name="one"))
        server.popen_kwargs = {"stdin": -1}
        address = await server.start()
        reader, writer = await asyncio.open_connection(*address)  # it does not accept yet
        server.proc.stdin.write(word)
        server.proc.stdin.close()
        answer = asyncio.ensure_future(asyncio.wait_for(reader.read(), 30))
        try:
            return await answer, address
        finally:
            writer.close()
            await asyncio.to_thread(server.proc.wait, 30)

    async def both():
        assert (await of_a_server(b"serve\n"))[0] == b"here I am"
        with pytest.raises(ConnectionResetError):
            await of_a_server(b"end\n")

    asyncio.run(both())


def test_its_port_is_free_again_when_the_server_has_ended():
    async def ended():
        server = Server(cmd=[sys.executable, "-c", ""], user=SimpleNamespace(name="one"))
        address = await server.start()
        await asyncio.to_thread(server.proc.wait, 30)
        async with asyncio.timeout(30):
            while server._held is not None:
                await asyncio.sleep(0.01)
        return address

    with socket.socket() as other:
        other.bind(asyncio.run(ended()))
