"""What the last release's code does on a database that this release has migrated. `test_old_code.py` runs this in a
process whose current folder is the last release; the only other module of ours that it may import is `rows`.

`old_code.py fill` writes a row into every table, and takes it back. `old_code.py work SANDBOX KEYS DEVICES` takes in
what waits in Redis, MongoDB and on the API, sends it, and looks at the pages.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

sys.path.insert(0, str(Path.cwd()))
os.environ["DJANGO_SETTINGS_MODULE"] = "higo_push.settings"
django.setup()

from django.apps import apps  # noqa: E402
from django.conf import settings  # noqa: E402
from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import reverse  # noqa: E402
from pymongo import MongoClient  # noqa: E402
from rows import filled, with_tables  # type: ignore[import-not-found]  # noqa: E402

from pushes.models import ApiToken  # noqa: E402

NUMBER = 3
HOST = "127.0.0.1"


def fill() -> None:
    """INSERT, SELECT and UPDATE of every column that this release knows."""
    models = list(with_tables(apps, "pushes", "chatscan"))
    with transaction.atomic():
        for model in models:
            # What migrations have seeded.
            model._base_manager.all().delete()
        for model in models:
            row = model._base_manager.first() or filled(apps, model._meta.label_lower)
            names = [field.attname for field in model._meta.concrete_fields if not field.primary_key]
            model._base_manager.bulk_update([model._base_manager.get(pk=row.pk)], names)
        transaction.set_rollback(True)
    print(f"{len(models)} tables")


def work(sandbox: str, keys: str, devices: str) -> None:
    call_command("importappkeys", keys, endpoint=sandbox)
    call_command("importdevices", devices)
    call_command("runscanner", "private", once=True)  # its first position
    chat()
    call_command("runscanner", "private", once=True)
    call_command("runintake", once=True)
    ask_the_api()
    try:
        call_command("runworkers", "all", burst=True)
    except SystemExit as ended:
        if ended.code:
            raise
    call_command("runsweeper", once=True)
    look_at_the_pages()


def chat() -> None:
    client: MongoClient[dict[str, Any]] = MongoClient(settings.MONGO_URL)
    sides = {"user": {"user_id": "8"}, "to_user": {"user_id": "7"}}
    now = {"createAt": f"{time.time_ns() // 1_000_000}", "type": "text"}
    with client:
        chats = client.get_default_database().private_chats
        chats.insert_many({"seq": number, "data": f"chat {number}", **now, **sides} for number in range(NUMBER))


def ask_the_api() -> None:
    token = ApiToken.issue("old", list(ApiToken.SCOPES))[1]
    client = Client(headers={"Authorization": f"Bearer {token}"}, SERVER_NAME=HOST)

    def ask(method: str, path: str, body: object = None) -> Any:
        answer = client.generic(
            method, f"/api/v1/{path}", b"" if body is None else json.dumps(body).encode(), "application/json"
        )
        assert answer.status_code < 300, (path, answer.status_code, answer.content)
        return answer

    for number in range(NUMBER):
        answer = ask("POST", "pushes", {"to_id": "7", "app": "higo", "message": f"api {number}"})
    for path in (f"pushes/{answer.json()['id']}/deliveries", "metrics", "readyz", "openapi.json"):
        ask("GET", path)
    ask("PUT", f"devices/{'c' * 40}", {"account_id": "9", "app": "higo", "platform": "android"})
    ask("PATCH", "accounts/9", {"muted_conversations": ["group:1"]})


def look_at_the_pages() -> None:
    client = Client(SERVER_NAME=HOST)
    client.force_login(User.objects.create_superuser("old", password="not-used-anywhere"))
    pages = [reverse("admin:index")]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages.append(reverse(f"{name}_changelist"))
        row = model._base_manager.first() if model._meta.managed else None
        if row is not None:
            pages.append(reverse(f"{name}_change", args=[row.pk]))
    for page in pages:
        answer = client.get(page, follow=True)
        assert answer.status_code == 200, (page, answer.status_code)
    print(f"{len(pages)} pages")


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {"fill": fill, "work": work}
    commands[sys.argv[1]](*sys.argv[2:])
