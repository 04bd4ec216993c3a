"""gzip for answers that are whole, where the client takes it."""

import re

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils.cache import patch_vary_headers

#: How a client says that it takes none: Django looks for the word alone.
REFUSES_GZIP = re.compile(r"\bgzip\s*;\s*q\s*=\s*0(\.0*)?\s*(,|$)", re.IGNORECASE)


class Compression(GZipMiddleware):
    """Django's, which adds a random length, so that the size of an answer tells nobody what is in it."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.streaming:
            # An export of many megabytes: it would keep a thread of the web server busy for nothing.
            return response
        if REFUSES_GZIP.search(request.headers.get("Accept-Encoding", "")):
            patch_vary_headers(response, ("Accept-Encoding",))
            return response
        return super().process_response(request, response)
