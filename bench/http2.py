"""The send window over HTTP/1.1, HTTP/2 and HTTP/2 with TLS, at 0 and at 50 ms of latency: calls a second, and its CPU.

    python -m bench http2 [--calls 20000] [--in-flight 256] [--rounds 2] [--lives-for 700]

The last lines are against a server that says GOAWAY after so many streams of a connection. "libcurl" is what the window
used for HTTP/2 before, and still does for an https URL of a provider that does not ask for HTTP/2. CPU is that of this
process: the window, and the loop that fills it with ready-made requests.
"""

import contextlib
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from bench import harness
from higo_push.env import BASE_DIR
from higo_push.running import embedded, processes
from pushes.providers.base import HttpRequest, HttpResponse, TransportFailure
from pushes.providers.http import HttpWindow
from tests.pushes.providers.certificates import write_certificate

HEADERS = (
    f"authorization: bearer {'e' * 180}",
    "apns-topic: com.example.shop",
    "apns-push-type: alert",
    "apns-priority: 10",
    "apns-expiration: 1764230400",
)
BODY = b'{"aps":{"alert":{"title":"%s","body":"%s"},"sound":"default"}}' % (b"t" * 30, b"b" * 200)
#: What is called: the index of the server's port, the URL's scheme, and whether the request asks for HTTP/2.
PATHS = {
    "HTTP/1.1": (0, "http", False),
    "HTTP/2": (1, "http", True),
    "HTTP/2, TLS": (2, "https", True),
    "HTTP/2, TLS, libcurl": (2, "https", False),
}


def main() -> None:
    parser = ArgumentParser(prog="python -m bench http2")
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--lives-for", type=int, default=700)
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with embedded.temporary_folder() as folder:
        certificate = write_certificate(folder / "certificate.pem")
        settings.configure(PROVIDER_CA_FILE=str(certificate))
        for number in range(1, chosen.rounds + 1):
            for latency_ms, lives_for in ((0, 0), (50, 0), (0, chosen.lives_for), (50, chosen.lives_for)):
                with server(certificate, latency_ms, lives_for) as ports:
                    found = [measure(path, ports, chosen.calls, chosen.in_flight) for path in PATHS]
                first = found[0]["calls/s"]
                for row in found:
                    known = {"round": number, "latency ms": latency_ms, "GOAWAY after": lives_for}
                    rows.append({**known, **row, "of HTTP/1.1": row["calls/s"] / first})
    harness.table("http2: the send window", rows)
    harness.write("http2", rows, calls=chosen.calls, in_flight=chosen.in_flight)


@contextlib.contextmanager
def server(certificate: Path, latency_ms: int, lives_for: int) -> Iterator[list[int]]:
    command = [sys.executable, "-m", "bench.http2_server", str(certificate), str(latency_ms), str(lives_for)]
    child = subprocess.Popen(command, cwd=BASE_DIR, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        yield [int(port) for port in child.stdout.readline().split()]
    finally:
        processes.stop(child)


def measure(path: str, ports: list[int], calls: int, in_flight: int) -> dict[str, Any]:
    port, scheme, http2 = PATHS[path]
    url = f"{scheme}://localhost:{ports[port]}/3/device"
    waiting = [HttpRequest(f"{url}/{number:064x}", BODY, HEADERS, http2) for number in range(calls)]
    window = HttpWindow(in_flight, 30)
    answers: list[Any] = []
    begun, cpu = time.perf_counter(), time.process_time()
    while waiting or window.in_flight:
        while waiting and window.free:
            window.add(None, waiting.pop())
        answers += window.collect(10)
    seconds, spent = time.perf_counter() - begun, time.process_time() - cpu
    window.close()
    failures = [answer for _, answer in answers if isinstance(answer, TransportFailure)]
    if len(failures) > calls // 2:
        raise SystemExit(f"{path}: {failures[0]}")
    assert len(answers) == calls
    assert all(answer.status == 200 for _, answer in answers if isinstance(answer, HttpResponse))
    return {
        "what": path,
        "calls/s": calls / seconds,
        "CPU µs a call": spent / calls * 1e6,
        "unknown": sum(failure.was_sent for failure in failures),
        "not sent": sum(not failure.was_sent for failure in failures),
    }


if __name__ == "__main__":
    main()
