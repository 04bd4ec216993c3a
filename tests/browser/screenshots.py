"""Take the pictures of docs/console.md: `.venv/bin/python -m tests.browser.screenshots [FOLDER]`.

It starts a server on a database of its own, fills it with made-up rows, and drives Chromium through the pages.
"""

# The tests' environment comes first: it makes the settings' variables and a database that nobody else uses.
from tests.environment import ends  # isort: skip

import math
import random
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.utils import timezone
from playwright.sync_api import Page, sync_playwright

from chatscan.models import ScannerPosition
from pushes import lanes
from pushes.history import series
from pushes.ledger import counters
from pushes.models import Broadcast, Lease, PushRecord
from pushes.names import (
    SWEEPER_LEASE,
    App,
    BroadcastStatus,
    Channel,
    Environment,
    Kind,
    Platform,
    ProviderKind,
    Reason,
    Status,
)
from pushes.providers.registry import provider
from pushes.sandbox import sample_keys
from pushes.storage import shared_redis
from pushes.workers import queues
from tests.browser.conftest import FLAGS, PASSWORD, log_in
from tests.environment import PROJECT
from tests.make import (
    make_account,
    make_app_key,
    make_broadcast,
    make_dead_letter,
    make_delivery,
    make_device,
    make_record,
)

PICTURES = {
    "overview": "/admin/",
    "delivery-log": "/admin/pushes/deliveryresult/",
    "why": "/admin/pushes/deliveryresult/why/?account=100007&message=order-7",
    "app-keys": "/admin/pushes/appkey/",
    "broadcast-compose": "/admin/pushes/broadcast/1/change/",
    "broadcast-review": "/admin/pushes/broadcast/1/send/",
    "broadcast-progress": "/admin/pushes/broadcast/2/progress/",
    "app-key": "/admin/pushes/appkey/add/?app=higirl&platform=ios&environment=production&provider=apns",
    "coverage": "/admin/pushes/device/coverage/",
    "account": "/admin/pushes/account/100007/change/",
    "push-types": "/admin/pushes/pushtypepolicy/",
    "dead-letter": "/admin/pushes/deadletter/1/change/",
    "scanners": "/admin/chatscan/scannerposition/",
}
SCALE_SEED = 7
#: Of a minute, in which the first picture can be taken in the same minute.
LAST_SECOND = 10
CHANNEL_KEYS = {
    ProviderKind.APNS: Platform.IOS,
    ProviderKind.FCM: Platform.ANDROID,
    ProviderKind.JPUSH: Platform.ANDROID,
    ProviderKind.HUAWEI_V3: Platform.HARMONY,
}


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@contextmanager
def served() -> Iterator[str]:
    """The application with its static files, on a free port."""
    server = make_server("127.0.0.1", 0, StaticFilesHandler(get_wsgi_application()), handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def fill(now: datetime) -> None:
    """A day in the life of the platform, the same every time."""
    chance = random.Random(SCALE_SEED)
    for app, platform in ((App.HIGO, Platform.ANDROID), (App.HIGO, Platform.IOS), (App.HIGIRL, Platform.ANDROID)):
        make_app_key(app, platform)
    make_app_key(App.HIGO, Platform.IOS, environment=Environment.LOCAL, is_enabled=False)
    for provider_kind, platform in CHANNEL_KEYS.items():
        access_id, secret = provider(provider_kind).sealed(sample_keys.entered(provider_kind))
        make_app_key(App.HIGO, platform, provider=provider_kind, access_id=access_id, secret=secret)
    Lease.objects.create(name=SWEEPER_LEASE, holder="pictures", until=now + timedelta(hours=1))
    make_broadcast(title="双十一大促", text="全场五折，满 300 减 50，今晚八点开抢！")
    running = make_broadcast(
        title="新品上架",
        text="春装新品已上架，快来看看。",
        status=BroadcastStatus.SENDING,
        started_at=now,
        estimate=400,
    )
    _deliveries(running, chance, now)
    _counters(chance, now)
    make_dead_letter('{"type": 5, "app": "higo", "message": "您有新订单"}'.encode(), reason="no_recipient")
    make_dead_letter(b'a:3:{s:4:"type";i:5;s:5:"to_id', reason="truncated")
    _workers()
    for kind, mode in (("group", "doorbell"), ("private", "polling")):
        ScannerPosition.objects.create(
            kind=kind,
            mode=mode,
            position_at=now,
            # Alive for as long as taking the pictures lasts.
            scanned_at=now + timedelta(minutes=10),
            heartbeat_at=now + timedelta(minutes=10),
            lag_seconds=0.3,
            per_second=4.2,
            accepted=3_912,
        )


def _workers() -> None:
    """A worker for each lane, alive for as long as taking the pictures lasts."""
    for lane in lanes.LANES:
        key = f"{queues.WORKER_PREFIX}{lane}-pictures"
        shared_redis.connection().sadd(queues.WORKERS_KEY, key)
        shared_redis.connection().set(key, "alive", ex=600)


def _deliveries(running: Broadcast, chance: random.Random, now: datetime) -> None:
    fates = [(Status.ACCEPTED, ""), (Status.ACCEPTED, ""), (Status.SKIPPED, Reason.ONLINE), (Status.PENDING, "")]
    record = make_record(kind=Kind.BROADCAST, broadcast=running, title=running.title, text=running.text)
    for number in range(40):
        account = make_account(f"{100_000 + number}")
        device = make_device(account, installation_id=f"phone-{number}")
        if number % 3 == 0:
            make_device(account, channel=Channel.JPUSH, token=f"{number:019x}", installation_id=f"phone-{number}")
        order = make_record(
            message_id=f"order-{number}", accounts=[account.pk], title="新订单", text="您有一个新订单，请及时处理"
        )
        for push in (order, record):
            status, reason = chance.choice(fates)
            _deliver(push, account.pk, device.pk, device.token, status, reason, now)


def _deliver(push: PushRecord, account: str, device: int, token: str, status: str, reason: str, now: datetime) -> None:
    make_delivery(
        push,
        account_id=account,
        device_id=device,
        token=token,
        status=status,
        reason=reason,
        created_at=now - timedelta(seconds=3),
        finished_at=now if status != Status.PENDING else None,
        due_at=now,
    )


def _counters(chance: random.Random, now: datetime) -> None:
    for minute in range(60):
        at, wave = now - timedelta(minutes=minute), 60 + 25 * math.sin(minute / 9)
        # Of the minute under way only a part is over, and the overview takes that for at least a few seconds.
        wave *= 1 if minute else max(now.second + 1, series.MIN_STEP.seconds) / 60
        for kind, share in ((Kind.SYSTEM, 1.0), (Kind.GROUP, 1.5), (Kind.PRIVATE, 0.8)):
            number = int(wave * share * chance.uniform(0.9, 1.1))
            events = {
                (kind.value, counters.SUBMITTED, "", 0): number,
                (kind.value, Status.ACCEPTED.value, "", 1): int(number * 0.82),
                (kind.value, Status.SKIPPED.value, Reason.ONLINE.value, 0): int(number * 0.13),
                (kind.value, Status.FAILED.value, Reason.BAD_TOKEN.value, 1): int(number * 0.01),
            }
            counters.add(events, at)
        counters.add_latencies([("system", chance.lognormvariate(-2.6, 0.6)) for _ in range(50)], at)


def take(page: Page, folder: Path) -> None:
    for name, address in PICTURES.items():
        page.goto(address)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / f"{name}.png")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    call_command("migrate", verbosity=0)
    if (now := timezone.now()).second > LAST_SECOND:
        # Otherwise the overview's last minute would be empty.
        time.sleep(60 - now.second)
    fill(timezone.now())
    user = User.objects.create_superuser("operator", password=PASSWORD)
    with served() as url, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        options: dict[str, Any] = {"base_url": url, "timezone_id": "Asia/Shanghai", "locale": "en"}
        page = chromium.new_page(viewport={"width": 1280, "height": 800}, **options)
        log_in(page, user)
        take(page, folder)
        dark = chromium.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark", **options)
        log_in(dark, user)
        dark.screenshot(path=folder / "phone-dark.png")
        chromium.close()
    ends.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "docs" / "screenshots")
