"""What counts as a stalled scanner, and that everybody hears of it."""

import itertools
import os
import signal
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone as django_timezone
from django.utils.html import escape
from hypothesis import given
from hypothesis import strategies as st

from chatscan.models import ScannerPosition
from chatscan.names import Mode, Stall
from chatscan.scanning import stalls
from chatscan.scanning.stalls import lag_seconds, stall
from pushes.console.operators import roles
from tests.chatscan.making import group_document
from tests.chatscan.processes import running, wait_for
from tests.chatscan.test_metrics import scrape
from tests.make import make_operator

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)
FRESH, SILENT, UNABLE = timedelta(seconds=1), timedelta(seconds=41), timedelta(seconds=31)


def row(mode: Mode = Mode.DOORBELL, *, heartbeat: timedelta = FRESH, look: timedelta = FRESH, **fields: Any) -> Any:
    """A scanner that has run for a day."""
    fields = {"interval_seconds": 10.0, "created_at": NOW - timedelta(days=1)} | fields
    return ScannerPosition(
        kind="group", mode=mode, heartbeat_at=NOW - heartbeat, scanned_at=NOW - look, started_at=None, **fields
    )


def test_the_whole_table():
    """Every mode × silent or not × unable to look or not × far behind or not."""
    for mode, is_silent, is_unable, is_behind in itertools.product(Mode, [False, True], [False, True], [False, True]):
        expected = [
            (mode is Mode.STOPPED, None),
            (is_silent, Stall.DEAD),
            (is_unable and mode is Mode.BACKLOGGED, Stall.WAITING),
            (is_unable, Stall.FAILING),
            (is_behind, Stall.BEHIND),
            (mode is Mode.DEAF, Stall.DEAF),
            (True, None),
        ]
        scanner = row(
            mode,
            heartbeat=SILENT if is_silent else FRESH,
            look=UNABLE if is_unable else FRESH,
            lag_seconds=61.0 if is_behind else 59.0,
        )
        assert stall(scanner, NOW) == next(name for holds, name in expected if holds), (mode, is_silent, is_unable)


def test_each_limit_is_where_it_says(settings):
    settings.MONGO_TIMEOUT_SECONDS, settings.CHAT_LAG_ALARM_SECONDS = 20.0, 5.0
    assert stall(row(heartbeat=timedelta(seconds=50)), NOW) is None
    assert stall(row(heartbeat=timedelta(seconds=51)), NOW) is Stall.DEAD
    assert stall(row(lag_seconds=5.1), NOW) is Stall.BEHIND
    assert stall(row(look=timedelta(seconds=89), interval_seconds=30), NOW) is None
    assert stall(row(look=timedelta(seconds=91), interval_seconds=30), NOW) is Stall.FAILING


def test_a_scanner_that_has_just_started_is_given_its_time():
    started = row(Mode.FAILING, look=timedelta(days=1))
    started.started_at = NOW - timedelta(seconds=5)
    assert stall(started, NOW) is None
    first = ScannerPosition(kind="group", created_at=NOW - timedelta(seconds=5))
    assert stall(first, NOW) is None
    assert stall(first, NOW + timedelta(minutes=1)) is Stall.DEAD


@given(st.sampled_from(Mode), st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0, 1e4), st.floats(0.05, 600))
def test_nobody_who_cannot_look_claims_to_be_up_to_date(mode, silent, unable, lag, interval):
    scanner = row(
        mode,
        heartbeat=timedelta(seconds=silent),
        look=timedelta(seconds=unable),
        lag_seconds=lag,
        interval_seconds=interval,
    )
    found = lag_seconds(scanner, NOW)
    assert found >= lag
    if stall(scanner, NOW) in (Stall.DEAD, Stall.FAILING, Stall.WAITING):
        assert found >= min(unable, 86_400) - 0.001


# --- who hears of it ---------------------------------------------------------------------------


def make_scanner(**fields: Any) -> ScannerPosition:
    now = django_timezone.now()
    fields = {"heartbeat_at": now, "scanned_at": now, "mode": Mode.DOORBELL, "interval_seconds": 10.0} | fields
    return ScannerPosition.objects.create(kind="group", **fields)


def fault(wrong: Stall) -> dict[str, Any]:
    long_ago = django_timezone.now() - timedelta(minutes=10)
    faults: dict[Stall, dict[str, Any]] = {
        Stall.DEAD: {"heartbeat_at": long_ago},
        Stall.FAILING: {"mode": Mode.FAILING, "scanned_at": long_ago},
        Stall.WAITING: {"mode": Mode.BACKLOGGED, "scanned_at": long_ago},
        Stall.BEHIND: {"lag_seconds": 600.0},
        Stall.DEAF: {"mode": Mode.DEAF},
    }
    return faults[wrong]


@pytest.fixture
def viewer(db: None, redis_client: Any) -> Client:
    client = Client()
    client.force_login(make_operator(roles.VIEWER))
    return client


@pytest.mark.parametrize("wrong", Stall)
def test_a_stall_shows_on_the_overview_on_its_page_and_in_metrics(viewer: Client, wrong: Stall):
    label = str(wrong.label)
    scanner = make_scanner()
    ScannerPosition.objects.update(created_at=django_timezone.now() - timedelta(days=1), **fault(wrong))
    page = reverse("admin:chatscan_scannerposition_change", args=(scanner.pk,))
    alerts = viewer.get(reverse("admin:index")).context["alerts"]
    assert [(label in alert.text, alert.url) for alert in alerts if alert.url == page] == [(True, page)]
    assert escape(label) in viewer.get(page).content.decode()
    stalled = {key[1:]: value for key, value in scrape().items() if key[0] == "higo_scanner_stalled"}
    assert [set(labels) for labels, value in stalled.items() if value] == [{"group", wrong.value}]
    assert len(stalled) == len(Stall)


def test_while_all_is_well_nobody_is_warned(viewer: Client):
    scanner = make_scanner(per_second=2.5)
    page = reverse("admin:chatscan_scannerposition_change", args=(scanner.pk,))
    assert not [alert for alert in viewer.get(reverse("admin:index")).context["alerts"] if alert.url == page]
    assert "has a problem" not in viewer.get(page).content.decode()
    values = scrape()
    assert not any(value for key, value in values.items() if key[0] == "higo_scanner_stalled")
    assert values["higo_scanner_messages_per_second", "group"] == 2.5


def test_who_may_not_see_scanners_is_not_warned_of_them(db: None, redis_client: Any):
    make_scanner(heartbeat_at=django_timezone.now() - timedelta(days=1))
    client = Client()
    user = make_operator(roles.VIEWER)
    user.groups.clear()
    client.force_login(user)
    assert "has a problem" not in client.get(reverse("admin:index")).content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_killed_scanner_counts_as_dead_and_a_stopped_one_does_not(chats, process_environment, redis_client, tmp_path):
    with running(process_environment, tmp_path / "log", "group", "--interval", "0.3") as process:
        wait_for(lambda: ScannerPosition.objects.filter(mode=Mode.DOORBELL).exists(), "the doorbell")
        chats.insert_one(group_document())
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    killed_at = django_timezone.now()
    later = killed_at + timedelta(seconds=stalls.silence_seconds() + 1)
    assert stall(ScannerPosition.objects.get(), later) is Stall.DEAD
    with running(process_environment, tmp_path / "log", "group", "--interval", "0.3") as process:
        wait_for(lambda: ScannerPosition.objects.filter(started_at__gt=killed_at).exists(), "the second start")
        process.terminate()
        process.wait(20)
    assert stall(ScannerPosition.objects.get(), later) is None
