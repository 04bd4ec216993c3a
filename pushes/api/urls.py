from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path

from pushes.api import accounts, devices, health, metrics, openapi, pushes
from pushes.api.endpoint import Operation, Resource
from pushes.api.errors import error_response, not_found


def nothing_here(_request: HttpRequest, **_where: Any) -> HttpResponse:
    return error_response(not_found("address in this API"))


probes = [
    path("healthz", Resource(GET=Operation(health.live))),
    path("readyz", Resource(GET=Operation(health.ready))),
    path("metrics", Resource(GET=Operation(metrics.show))),
]
urlpatterns = [
    path("pushes", Resource(POST=Operation(pushes.create, "push", pushes.MAX_BODY))),
    path(
        "pushes/<int:record_id>",
        Resource(GET=Operation(pushes.show, "read"), DELETE=Operation(pushes.withdraw, "push")),
    ),
    path("pushes/<int:record_id>/deliveries", Resource(GET=Operation(pushes.deliveries, "read"))),
    path(
        "devices/<path:token>",
        Resource(
            PUT=Operation(devices.register, "devices", devices.MAX_BODY),
            DELETE=Operation(devices.remove, "devices"),
        ),
    ),
    path("accounts/<str:account_id>", Resource(PATCH=Operation(accounts.change, "accounts", accounts.MAX_BODY))),
    path(
        "presence/<str:account_id>",
        Resource(
            PUT=Operation(accounts.appear, "presence", accounts.MAX_BODY, body_optional=True),
            DELETE=Operation(accounts.leave, "presence"),
        ),
    ),
    *probes,
    path("openapi.json", Resource(GET=Operation(openapi.show))),
    path("", nothing_here),
    path("<path:rest>", nothing_here),
]
