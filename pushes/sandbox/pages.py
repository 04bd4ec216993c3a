"""The page that shows what phones would show."""

import secrets
import time
from typing import Any

import orjson
from django.template.loader import get_template
from django.utils import translation

from pushes.names import Platform
from pushes.sandbox import forms
from pushes.sandbox.store import Entry
from pushes.sandbox.wire import HTML, Reply, Request
from pushes.sandbox.world import World

SHOWN = 60
CHINESE = "zh-hans"
#: Only the script and the style of this very page, and the figures that it asks for.
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Pages:
    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, request: Request) -> Reply:
        if request.method == "GET" and request.path == "/":
            return self._page(request, "sandbox/page.html")
        if request.method == "GET" and request.path == "/cards":
            return self._page(request, "sandbox/cards.html")
        return Reply(orjson.dumps({"error": f"{request.method} {request.path} does not exist"}), 404)

    def _page(self, request: Request, template: str) -> Reply:
        try:
            asked = forms.parse(request.query)
        except UnicodeDecodeError:
            asked = {}
        token = asked.get("token", "").strip()
        access_id = asked.get("access_id", "").strip()
        entries = self._world.received.newest(SHOWN, token, access_id)
        nonce = secrets.token_urlsafe(16)
        languages = request.headers.get(b"accept-language", b"").lower()
        with translation.override(CHINESE if languages.startswith(b"zh") else "en"):
            html = get_template(template).render(
                {
                    "nonce": nonce,
                    "stats": self._world.stats(),
                    "token": token,
                    "access_id": access_id,
                    "phones": [
                        {
                            "platform": platform.value,
                            "name": platform.label,
                            "cards": [_card(entry) for entry in entries if entry.platform == platform],
                        }
                        for platform in Platform
                    ],
                }
            )
        return Reply(html.encode(), content_type=HTML, headers=_safety(nonce))


def _safety(nonce: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Content-Security-Policy", POLICY.format(nonce=nonce)),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    )


def _card(entry: Entry) -> dict[str, Any]:
    custom = {name: value for name, value in entry.custom.items() if name != "n_id"}
    return {
        "entry": entry,
        "custom": orjson.dumps(custom).decode() if custom else "",
        "at": time.strftime("%H:%M:%S", time.localtime(entry.time)),
    }
