"""The two consoles that `bench log_search` asks, and what it takes from the database.

Import it after django.setup().
"""

import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import override_settings
from django.urls import path, reverse
from django.utils import timezone
from unfold.sites import UnfoldAdminSite

from higo_push.urls import urlpatterns as ours
from pushes.history import rare_rows
from pushes.models import DeliveryResult

STATEMENT_TIMEOUT = 1969
# What is cut off on purpose is no error worth a traceback.
logging.getLogger("django.request").setLevel(logging.CRITICAL)


class StockLog(admin.ModelAdmin):  # type: ignore[type-arg]
    """What one writes first: the columns, the filters, the searched fields."""

    list_display = ("created_at", "account_id", "kind", "push_type", "token", "status", "reason", "provider_text")
    list_filter = ("status", "reason", "kind", "push_type")
    search_fields = ("account_id", "token", "provider_push_id", "record__message_id")
    ordering = ("-id",)
    list_per_page = 50

    def lookup_allowed(self, *_lookup: Any) -> bool:
        return True


#: The theme's site, so that both are rendered by the same templates; nothing else of ours.
stock_site = UnfoldAdminSite(name="stock")
stock_site.register(DeliveryResult, StockLog)
#: This module is the address configuration of the run.
urlpatterns = [*ours, path("stock/", stock_site.urls)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page showed: how many rows, and whether it gave up before it was full."""

    seconds: float
    rows: int
    is_cut: bool


class Operator:
    """A signed-in administrator with a browser that runs no scripts."""

    def __init__(self) -> None:
        self._settings = override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["testserver"])
        self._settings.enable()
        user, _created = User.objects.get_or_create(username="bench", defaults={"is_staff": True, "is_superuser": True})
        self.client = Client()
        self.client.force_login(user)
        self.address = reverse("admin:pushes_deliveryresult_changelist")

    def ask(self, query: dict[str, object]) -> Answer:
        """One page of our log. Raises AssertionError for anything but a page."""
        seconds, answer = self._get(f"{self.address}?{urlencode(query)}")
        page = answer.context_data["cl"].page
        return Answer(seconds, len(page.rows), page.stopped_at is not None)

    def ask_stock(self, query: dict[str, object], most_seconds: int) -> float | None:
        """Seconds that the stock admin takes; None when one of its statements took longer than `most_seconds`."""
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION max_statement_time = %s", [most_seconds])
        try:
            return self._get(f"/stock/pushes/deliveryresult/?{urlencode(query)}")[0]
        except OperationalError as error:
            if error.args[:1] != (STATEMENT_TIMEOUT,):
                raise
            return None
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION max_statement_time = 0")

    def _get(self, address: str) -> tuple[float, Any]:
        begun = time.perf_counter()
        answer = self.client.get(address)
        seconds = time.perf_counter() - begun
        assert answer.status_code == 200, f"{address}: {answer.status_code}"
        return seconds, answer


def migrate() -> None:
    call_command("migrate", verbosity=0)


def note_blocks() -> int:
    """All blocks that the sweeper would have noted by now. Returns how many were read."""
    return rare_rows.note(timezone.now() + rare_rows.MIN_AGE + timedelta(minutes=1), budget_seconds=3_600)


def token_of(number: int) -> str:
    """The token of a delivery that there is."""
    found = DeliveryResult.objects.filter(pk__gte=number).order_by("pk").values_list("token", flat=True).first()
    return str(found)


def day(days_ago: int) -> str:
    return f"{timezone.localtime() - timedelta(days=days_ago):%Y-%m-%d}"


def server_facts() -> dict[str, str]:
    """What of the server the figures depend on."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT VERSION(), @@innodb_buffer_pool_size DIV 1048576")
        version, megabytes = cursor.fetchone()
        cursor.execute(
            "SELECT SUM(data_length + index_length) DIV 1048576 FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND table_name IN ('pushes_deliveryresult', 'pushes_logblock')"
        )
        return {"version": version, "buffer pool MB": str(megabytes), "log MB": str(cursor.fetchone()[0])}
