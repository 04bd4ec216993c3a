"""The API's addresses. Any other address under /api gets a JSON error, whatever its method and token."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path, register_converter
from django.urls.converters import StringConverter
from django.views.decorators.csrf import csrf_exempt
from django.views.defaults import bad_request

from pushes.api import accounts, devices, health, metrics, openapi, pushes
from pushes.api.endpoint import Operation, Resource
from pushes.api.errors import ApiError, error_response, not_found


class AccountConverter(StringConverter):
    """An account id, which may contain slashes, but not at its end."""

    regex = r"[^/](?:(?s:.*)[^/])?"


class TokenConverter(StringConverter):
    """A device token, which may contain slashes anywhere: some vendors' tokens are base64."""

    regex = r"(?s:.+)"


register_converter(AccountConverter, "account")
register_converter(TokenConverter, "token")


@csrf_exempt
def nothing_here(request: HttpRequest, **_where: Any) -> HttpResponse:
    error = not_found("address in this API")
    if request.path.endswith("/"):
        error.message += " API addresses have no trailing slash."
    return error_response(error)


def refused_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that fails before its address is resolved, such as a host that is not in ALLOWED_HOSTS."""
    if is_api(request.path_info):
        return error_response(ApiError(400, "bad_request", "Bad request: check the Host header."))
    return bad_request(request, exception)


def is_api(address: str) -> bool:
    return address.lstrip("/").partition("/")[0] == "api"


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
        "devices/<token:token>",
        Resource(
            PUT=Operation(devices.register, "devices", devices.MAX_BODY),
            DELETE=Operation(devices.remove, "devices"),
        ),
    ),
    path("accounts/<account:account_id>", Resource(PATCH=Operation(accounts.change, "accounts", accounts.MAX_BODY))),
    path(
        "presence/<account:account_id>",
        Resource(
            PUT=Operation(accounts.appear, "presence", accounts.MAX_BODY, body_optional=True),
            DELETE=Operation(accounts.leave, "presence"),
        ),
    ),
    *probes,
    path("openapi.json", Resource(GET=Operation(openapi.show))),
]
#: For the site's URL list, after everything else: other versions, doubled slashes, misspelt addresses.
everything_else = re_path(r"^[/]*api(?:/|\Z)", nothing_here)
