"""GET /healthz (this process answers) and GET /readyz (so does everything that it depends on; Redis takes a write)."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string
from redis import Redis

from pushes import lanes
from pushes.api.endpoint import Call, answer
from pushes.storage import probe
from pushes.workers import queues

TIMEOUT_SECONDS = 2.0
#: The client counts in whole seconds, for connecting and for the answer each.
DATABASE_SECONDS = 1
PROBES = ("healthz", "readyz")
#: A dependency that hangs keeps its thread; the pool bounds how many such threads there can be.
_pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="readyz")


class ProbeMiddleware:
    """Takes the cookies from a probe's request: what would look up a session or a person for it asks the database."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.rpartition("/")[2] in PROBES:
            request.COOKIES = {}
        return self.get_response(request)


def live(_call: Call) -> HttpResponse:
    return answer(200, {"status": "ok"})


def ready(_call: Call) -> HttpResponse:
    """200 when every dependency answers within two seconds, else 503; which one does not is in the body."""
    pending = {name: _pool.submit(_timed, check) for name, check in checks().items()}
    wait_for(pending.values(), timeout=TIMEOUT_SECONDS)
    results = {name: _result(future) for name, future in pending.items()}
    is_ready = all(result["ok"] for result in results.values())
    return answer(200 if is_ready else 503, {"status": "ready" if is_ready else "not ready", "checks": results})


def checks() -> dict[str, Callable[[], None]]:
    """By name; each returns, or raises whatever is wrong. READINESS_CHECKS adds to them by dotted path."""
    more: dict[str, str] = settings.READINESS_CHECKS
    return {"database": _ask_database, "redis": _ask_redis} | {name: import_string(path) for name, path in more.items()}


def _timed(check: Callable[[], None]) -> float:
    started = time.monotonic()
    check()
    return (time.monotonic() - started) * 1000


def _result(future: "Future[float]") -> dict[str, Any]:
    if not future.done():
        future.cancel()
        return {"ok": False, "error": f"no answer within {TIMEOUT_SECONDS:.0f} s"}
    error = future.exception()
    if error is not None:
        # The kind alone: messages name hosts and users, and this page asks for no token.
        return {"ok": False, "error": queues.word_for(error)}
    return {"ok": True, "ms": round(future.result(), 1)}


def _ask_database() -> None:
    probe.ask(seconds=DATABASE_SECONDS)


def _ask_redis() -> None:
    url = str(settings.RQ_QUEUES[lanes.send_queue(lanes.SYSTEM)]["URL"])
    with Redis.from_url(url) as client:
        # The URL has bounds of its own, and would win.
        bounds = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}
        client.connection_pool.connection_kwargs.update(bounds)
        queues.try_to_write(client)
