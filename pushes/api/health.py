"""GET /healthz (this process answers) and GET /readyz (its services answer too, and Redis accepts a write)."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from pushes.api.endpoint import Call, answer
from pushes.storage import probe, shared_redis
from pushes.workers import queues

TIMEOUT_SECONDS = 2.0
#: The client's time-outs, for connecting and for the answer, are whole seconds.
DATABASE_SECONDS = 1
PROBES = ("healthz", "readyz")
#: A hanging dependency blocks its thread; the pool bounds the number of such threads.
_pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="readyz")


class ProbeMiddleware:
    """Remove the cookies of a probe's request: looking up a session or an operator would ask the database."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.rpartition("/")[2] in PROBES:
            request.COOKIES = {}
        return self.get_response(request)


def live(_call: Call) -> HttpResponse:
    return answer(200, {"status": "ok"})


def ready(_call: Call) -> HttpResponse:
    """Answer 200 when every dependency answers within two seconds, otherwise 503; the body names the failing ones."""
    pending = {name: _pool.submit(_timed, check) for name, check in checks().items()}
    wait_for(pending.values(), timeout=TIMEOUT_SECONDS)
    results = {name: _result(future) for name, future in pending.items()}
    is_ready = all(result["ok"] for result in results.values())
    return answer(200 if is_ready else 503, {"status": "ready" if is_ready else "not ready", "checks": results})


def checks() -> dict[str, Callable[[], None]]:
    """Return the checks by name. Each returns, or raises what is wrong. READINESS_CHECKS adds more by dotted path."""
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
        # Only the kind: messages name hosts and users, and this page needs no token.
        return {"ok": False, "error": queues.word_for(error)}
    return {"ok": True, "ms": round(future.result(), 1)}


def _ask_database() -> None:
    probe.ask(seconds=DATABASE_SECONDS)


def _ask_redis() -> None:
    bounds = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}
    with shared_redis.connect(shared_redis.url(), **bounds) as client:
        queues.try_to_write(client)
