"""`python -m bench NAME [options]`: run one benchmark, print its table, write its JSON.

It has a MariaDB server of its own, with the settings of deploy/mariadb.cnf, unless BENCH_DATABASE_URL names one.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator

from higo_push.env import BASE_DIR
from higo_push.running import embedded
from tests.chaos.databases import MariaDb, running_mariadb

NAMES = {
    "one_to_one": "distinct system pushes, raw list → accepted and recorded, beside the original",
    "fan_out": "one group message to 500 members, one broadcast to 100,000 devices",
    "overhead": "CPU of all our processes per push, beside one bare requests call; and stage by stage",
    "channels": "CPU and rate through each provider, recorded, beside aioapns, jpush and google-auth, which do not",
    "growth": "throughput and worker memory with 10 k, 100 k and 1 M queued",
    "latency": "submit → provider, idle and at half load",
    "chat": "a group of 10,000; MongoDB insert → provider, doorbell and polling; catching up",
    "chaos": "kills, restarts and provider faults, then the auditor",
    "hosts": "several hosts: cut links, wrong clocks, frozen and killed machines and servers, then the auditor",
    "log_search": "the console's delivery log at 10 million rows, beside a stock ModelAdmin",
    "sandbox": "what the sandbox provider itself can carry",
    "galera": "the platform on one node of a Galera cluster, and spread over its three",
    "simulate": "schedules of the simulation: real code, simulated clock, network and faults; a seed replays",
    "http2": "the send window over HTTP/1.1 and HTTP/2, also while the server leaves again and again",
}
#: They bring what they need, or need none.
WITHOUT_DATABASE = ("chaos", "galera", "hosts", "sandbox", "simulate", "http2")


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        print("usage: python -m bench NAME [options]\n")
        print("\n".join(f"  {name:11} {text}" for name, text in NAMES.items()))
        sys.exit(2)
    name = sys.argv.pop(1)
    with database() if name not in WITHOUT_DATABASE and not asks_for_help() else contextlib.nullcontext():
        importlib.import_module(f"bench.{name}").main()


def asks_for_help() -> bool:
    return not {"-h", "--help"}.isdisjoint(sys.argv)


@contextlib.contextmanager
def database() -> Iterator[None]:
    """BENCH_DATABASE_URL, set to a server that runs for the time of the benchmark."""
    if os.environ.get("BENCH_DATABASE_URL"):
        yield
        return
    if staying := {"--keep", "--load-only", "--reuse"} & set(sys.argv):
        sys.exit(f"{min(staying)} is about a database that stays: set BENCH_DATABASE_URL to a server of yours.")
    if missing := MariaDb.missing():
        sys.exit(f"{missing} is missing (Debian: mariadb-server; requirements-mysql.txt). Or set BENCH_DATABASE_URL.")
    settings = BASE_DIR / "deploy" / "mariadb.cnf"
    with embedded.temporary_folder() as folder, running_mariadb(folder / "mariadb", settings) as server:
        os.environ["BENCH_DATABASE_URL"] = f"{server.url}/higo_bench"
        yield


main()
