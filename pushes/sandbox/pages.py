"""The page that shows what phones would show."""

import time
from typing import Any

import orjson
from django.template.loader import get_template
from django.utils import translation

from pushes.sandbox import forms
from pushes.sandbox.store import Entry
from pushes.sandbox.wire import HTML, Reply, Request
from pushes.sandbox.world import World

SHOWN = 60
CHINESE = "zh-hans"


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
        number = int(access_id) if access_id.isascii() and access_id.isdigit() else 0
        entries = self._world.received.newest(SHOWN, token, number)
        languages = request.headers.get(b"accept-language", b"").lower()
        with translation.override(CHINESE if languages.startswith(b"zh") else "en"):
            html = get_template(template).render(
                {
                    "stats": self._world.stats(),
                    "token": token,
                    "access_id": access_id,
                    "phones": [
                        {
                            "platform": platform,
                            "cards": [_card(entry) for entry in entries if entry.platform == platform],
                        }
                        for platform in ("android", "ios")
                    ],
                }
            )
        return Reply(html.encode(), content_type=HTML)


def _card(entry: Entry) -> dict[str, Any]:
    custom = {name: value for name, value in entry.custom.items() if name != "n_id"}
    return {
        "entry": entry,
        "custom": orjson.dumps(custom).decode() if custom else "",
        "at": time.strftime("%H:%M:%S", time.localtime(entry.time)),
    }
