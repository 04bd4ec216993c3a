"""Pushes a second and CPU a push through each provider, everything recorded, beside clients that record nothing.

    python -m bench channels [--pushes 10000] [--rounds 2] [--latency-ms 0 50] [--providers apns …] [--plain]

All providers are played by one sandbox process; where the vendor's address is https, calls go by TLS, to APNs and FCM
over HTTP/2. Ours are the intake, one worker and the sweeper, and their CPU is one sum. A provider's round is followed
at once by that of the client, which is given its tokens and texts for nothing, in a process of its own.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import psutil

from bench import harness
from bench.channel_clients import CLIENTS, CONCURRENT, FIREBASE
from bench.scene import SECRET, Scene
from higo_push.env import BASE_DIR
from pushes.names import CHANNELS, Platform, ProviderKind
from pushes.providers.registry import provider
from pushes.sandbox import sample_keys
from tests.sandbox_process import Sandbox, running_sandbox

ACCOUNTS, WARM_UP = 5_000, 1_000
#: How long a client that makes one call at a time is watched.
CLIENT_SECONDS = 5.0
#: Of a client's CPU, and of Xinge's rate.
MAX_CPU, MIN_RATE = {"aioapns": 0.75, FIREBASE: 0.25}, 0.9
#: From this share on, a core or all of them decide the rate.
BUSY = 0.9
HTTP2 = (ProviderKind.APNS, ProviderKind.FCM)


class Way(NamedTuple):
    """Whom a provider's pushes go to: the platform, and how a device's number becomes its token."""

    platform: Platform
    token: str
    entered: Mapping[str, str] = {}


#: Xinge first: the others are held against it.
WAYS = {
    ProviderKind.XINGE_V2: Way(Platform.ANDROID, "{:040x}", {"access_id": "2100000001", "secret": SECRET}),
    ProviderKind.TPNS: Way(Platform.ANDROID, "{:036x}", {"access_id": "1500000001", "secret": SECRET}),
    ProviderKind.APNS: Way(Platform.IOS, "{:064x}"),
    ProviderKind.FCM: Way(Platform.ANDROID, "bench:APA91b{:0130x}"),
    ProviderKind.JPUSH: Way(Platform.ANDROID, "{:019x}"),
    ProviderKind.HUAWEI_V3: Way(Platform.HARMONY, "IQAAAACy3{:0100x}"),
    ProviderKind.HUAWEI_V1: Way(Platform.ANDROID, "IQAAAACy1{:0100x}"),
}


def main() -> None:
    parser = ArgumentParser(prog="python -m bench channels")
    parser.add_argument("--pushes", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--latency-ms", type=int, nargs="+", default=[0, 50], help="of the providers")
    parser.add_argument("--providers", nargs="+", choices=[*WAYS], default=[*WAYS], help="besides xinge_v2")
    parser.add_argument("--plain", action="store_true", help="all but APNs and FCM by plain HTTP/1.1")
    chosen = parser.parse_args()
    kinds = [kind for kind in WAYS if kind in chosen.providers or kind is ProviderKind.XINGE_V2]
    entered = {kind: WAYS[kind].entered or sample_keys.entered(kind) for kind in kinds}
    with scene(entered, is_plain=chosen.plain) as stage:
        for kind in kinds:
            ours(stage, kind, WARM_UP)
        found = list(rows(stage, entered, chosen.latency_ms, chosen.rounds, chosen.pushes))
    harness.table("channels: pushes through each provider, accepted and recorded", found)
    if results := list(goals(found)):
        harness.table("channels: goals, medians of the rounds", results)
    harness.write("channels", found, pushes=chosen.pushes, plain=chosen.plain, goals=results)


@contextlib.contextmanager
def scene(entered: Mapping[ProviderKind, Mapping[str, str]], *, is_plain: bool) -> Iterator[Scene]:
    """A key and ACCOUNTS accounts with a device for each provider, the sandbox, and our processes running."""
    with contextlib.ExitStack() as stack:
        machine = stack.enter_context(harness.machinery(PROVIDER_HOSTS="127.0.0.1"))
        sandbox = stack.enter_context(running_sandbox(tls=True, environment=machine.environment))
        sandbox.set_limit(2**31 - 1)
        machine.environment |= {"PROVIDER_CA_FILE": sandbox.ca_file}
        lines = ["account_id,app,platform,environment,token,channel"]
        for kind, fields in entered.items():
            _add_key(machine, kind, fields, _url(sandbox, kind, is_plain=is_plain))
            platform, token, _ = WAYS[kind]
            lines += (
                f"{kind}-{number},higo,{platform},production,{token.format(number)},{CHANNELS[kind]}"
                for number in range(ACCOUNTS)
            )
        csv = machine.folder / "devices.csv"
        csv.write_text("\n".join(lines) + "\n")
        machine.manage("importdevices", str(csv))
        for words in (("runintake",), ("runworkers", "system", "--processes", 1), ("runsweeper",)):
            stack.enter_context(machine.process(*words))
        yield Scene(machine, sandbox, ACCOUNTS)


def _url(sandbox: Sandbox, kind: ProviderKind, *, is_plain: bool) -> str:
    is_secure = provider(kind).default_url.startswith("https:") and (kind in HTTP2 or not is_plain)
    return sandbox.tls_url if is_secure else sandbox.url


def _add_key(machine: harness.Machinery, kind: ProviderKind, entered: Mapping[str, str], url: str) -> None:
    """Add a key as an operator would: what is secret comes from files."""
    words = ["higo", WAYS[kind].platform, "--provider", kind, "--endpoint", url]
    for field in provider(kind).credential_fields:
        option, value = f"--{field.name.replace('_', '-')}", entered[field.name]
        if field.is_file or field.is_secret:
            path = machine.folder / f"{kind}-{field.name}"
            path.write_text(value)
            option, value = option if field.is_file else f"{option}-file", str(path)
        words += [option, value]
    machine.manage("addappkey", *words)


def ours(stage: Scene, kind: ProviderKind, pushes: int) -> dict[str, Any]:
    """From the first RPUSH to the last recorded acceptance. "all cores" is what everybody took of them."""
    stage.prefix = f"{kind}-"
    orders, running, player = stage.orders(pushes), stage.machine.running, [psutil.Process(stage.sandbox.pid)]
    psutil.cpu_percent()
    cpu, sandbox_cpu, begun = harness.cpu_seconds(running), harness.cpu_seconds(player), time.monotonic()
    stage.push(orders)
    stage.wait_until_done(seconds=120)
    seconds, busy = time.monotonic() - begun, psutil.cpu_percent() / 100
    cpu, sandbox_cpu = harness.cpu_seconds(running) - cpu, harness.cpu_seconds(player) - sandbox_cpu
    return {
        "provider": kind.value,
        "pushes/s": pushes / seconds,
        "our CPU µs": cpu / pushes * 1e6,
        "sandbox CPU µs": sandbox_cpu / pushes * 1e6,
        "sandbox's core": sandbox_cpu / seconds,
        "all cores": busy,
        "bound by": "sandbox" if sandbox_cpu / seconds >= BUSY else "processor" if busy >= BUSY else "",
    }


def theirs(sandbox: Sandbox, kind: ProviderKind, entered: Mapping[str, str], pushes: int) -> dict[str, Any]:
    """The client, in a process of its own."""
    if kind is ProviderKind.APNS:
        # Apple takes one signed token of a key in 20 minutes, and aioapns signs one for each connection.
        entered = {**entered, "key_id": f"B{time.time_ns() // 1_000_000 % 10**9:09}"}
        sandbox.add_key(*provider(kind).sealed(entered))
    asked: dict[str, Any] = {"kind": kind, "url": sandbox.tls_url, "ca_file": sandbox.ca_file, "entered": entered}
    asked |= {"token": WAYS[kind].token, "first": time.time_ns() // 1_000, "pushes": pushes}
    command = [sys.executable, "-m", "bench.channel_clients"]
    said = subprocess.run(command, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, cwd=BASE_DIR, check=True)
    found = json.loads(said.stdout)
    return {"client's/s": found["rate"], "client's CPU µs": found["cpu_us"]}


def rows(
    stage: Scene, entered: Mapping[ProviderKind, Mapping[str, str]], latencies: Sequence[int], rounds: int, pushes: int
) -> Iterator[dict[str, Any]]:
    for latency_ms, number in ((latency_ms, number) for latency_ms in latencies for number in range(1, rounds + 1)):
        stage.sandbox.set_latency(latency_ms)
        one_by_one = min(pushes, int(CLIENT_SECONDS * 1_000 / (latency_ms + 3)))
        of_xinge = 0.0
        for kind, fields in entered.items():
            row = {"latency ms": latency_ms, "round": number, **ours(stage, kind, pushes)}
            of_xinge = of_xinge or row["pushes/s"]
            row |= {"of Xinge's": row["pushes/s"] / of_xinge, "client": CLIENTS.get(kind, "")}
            row |= {"client's/s": "", "client's CPU µs": "", "CPU ratio": ""}
            if kind in CLIENTS:
                row |= theirs(stage.sandbox, kind, fields, pushes if CLIENTS[kind] in CONCURRENT else one_by_one)
                row["CPU ratio"] = row["our CPU µs"] / row["client's CPU µs"]
            yield row


def goals(found: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """CPU a push beside the client's, and the rate of each provider beside Xinge's wherever the provider takes its
    time."""

    def median(name: str, **wanted: object) -> float:
        values = [row[name] for row in found if all(row[key] == value for key, value in wanted.items())]
        return float(statistics.median(values))

    for latency_ms in dict.fromkeys(row["latency ms"] for row in found):
        for kind in dict.fromkeys(row["provider"] for row in found):
            at = {"latency ms": latency_ms, "provider": kind}
            client = CLIENTS.get(kind, "")
            if client in MAX_CPU:
                ratio, most = median("CPU ratio", **at), MAX_CPU[client]
                yield {**at, "goal": f"CPU ≤ {most} × {client}'s", "found": ratio, "met": ratio <= most}
            if latency_ms and kind != ProviderKind.XINGE_V2:
                share = median("of Xinge's", **at)
                yield {**at, "goal": f"rate ≥ {MIN_RATE} × Xinge's", "found": share, "met": share >= MIN_RATE}


if __name__ == "__main__":
    main()
