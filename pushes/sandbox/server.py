"""The sandbox as a process: one event loop, one socket, until a signal says stop."""

import asyncio
import signal
from collections.abc import Callable

import uvloop

from pushes.sandbox.desk import Desk
from pushes.sandbox.wire import Connections, Wire
from pushes.sandbox.world import World

BACKLOG = 4096


def run(make_world: Callable[[], World], host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `announce` gets the address; port 0 takes any free port.

    Raises OSError when the address cannot be had.
    """
    uvloop.run(_serve(make_world, host, port, announce))


async def _serve(make_world: Callable[[], World], host: str, port: int, announce: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    world = make_world()
    await world.keys.load()
    desk, connections = Desk(world), Connections()
    server = await loop.create_server(lambda: Wire(desk.answer, connections), host, port, backlog=BACKLOG)
    bound = server.sockets[0].getsockname()[1]
    announce(f"http://{f'[{host}]' if ':' in host else host}:{bound}")
    await stopped.wait()
    server.close()
    connections.close()
