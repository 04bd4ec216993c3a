"""What answers a request that nobody else could: in JSON under /api, as a page everywhere else."""

import sys

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from pushes.api import endpoint
from pushes.api.urls import is_api
from pushes.console.site import unavailable


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Django's handler500. It is called while the error is being handled."""
    error = sys.exc_info()[1] or RuntimeError("no error is known")
    if is_api(request.path_info):
        return endpoint.failed(request, error)
    return unavailable.page(request, error)
