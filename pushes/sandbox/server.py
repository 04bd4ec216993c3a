"""The sandbox as a process: one event loop, a socket, and another for TLS if wanted, until a signal stops it."""

import asyncio
import signal
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path

import uvloop

from pushes.sandbox import certificates
from pushes.sandbox.desk import Desk
from pushes.sandbox.doorman import Doorman
from pushes.sandbox.world import World

BACKLOG = 4096


def run(
    make_world: Callable[[], World],
    host: str,
    port: int,
    announce: Callable[[str], None],
    *,
    tls_port: int | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. `announce` receives each address; port 0 means any free port.

    With a `tls_port` also by TLS, with a certificate of an authority that exists as long as the sandbox runs. Raises
    OSError if an address is not available.
    """
    with tempfile.TemporaryDirectory(prefix="higo-sandbox-") as folder:
        uvloop.run(_serve(make_world, host, port, announce, tls_port, Path(folder)))


async def _serve(
    make_world: Callable[[], World],
    host: str,
    port: int,
    announce: Callable[[str], None],
    tls_port: int | None,
    folder: Path,
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    world = make_world()
    await world.keys.load()
    desk, connections = Desk(world), world.connections

    async def listen(at: int, context: ssl.SSLContext | None = None) -> tuple[asyncio.Server, str]:
        """Listen at a port, and return the address."""
        server = await loop.create_server(
            lambda: Doorman(desk.answer, connections), host, at, backlog=BACKLOG, ssl=context
        )
        bound = server.sockets[0].getsockname()[1]
        return server, f"{'https' if context else 'http'}://{f'[{host}]' if ':' in host else host}:{bound}"

    server, address = await listen(port)
    servers, addresses = [server], [address]
    if tls_port is not None:
        server, address = await listen(tls_port, certificates.context(folder, host))
        servers.append(server)
        addresses.append(f"{address} (certificate authority: {folder / certificates.AUTHORITY})")
    for address in addresses:
        announce(address)
    await stopped.wait()
    for server in servers:
        server.close()
    connections.close()
