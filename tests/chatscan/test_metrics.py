"""What /metrics tells of the scanners."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from chatscan.names import Mode
from chatscan.scanning import watermarks

pytestmark = pytest.mark.django_db


def scrape() -> dict[tuple[str, ...], float]:
    """Values by name and label values, which stand in the order of the labels' names."""
    response = Client(REMOTE_ADDR="127.0.0.1", HTTP_HOST="localhost").get("/metrics")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


def test_lag_and_mode_of_a_scanner(redis_client):
    watermarks.create("group", {}, None)
    watermarks.report("group", mode=Mode.POLLING, lag_seconds=12.5, odd=3)
    values = scrape()
    assert values["higo_scanner_lag_seconds", "group"] == 12.5
    assert (values["higo_scanner_mode", "polling", "group"], values["higo_scanner_mode", "doorbell", "group"]) == (1, 0)
    assert values["higo_scanner_odd", "group"] == 3


def test_a_scanner_that_is_silent_grows_older(redis_client):
    watermarks.create("private", {}, None)
    now = timezone.now()
    watermarks.report("private", mode=Mode.FAILING, heartbeat_at=now, scanned_at=now - timedelta(minutes=5))
    values = scrape()
    assert values["higo_scanner_age_seconds", "heartbeat", "private"] < 60
    assert 300 <= values["higo_scanner_age_seconds", "read", "private"] < 360


def test_what_it_has_done(redis_client):
    watermarks.create("group", {}, None)
    mark = watermarks.load("group")
    assert mark is not None
    watermarks.count(mark, read=9, accepted=6, duplicates=0, refused={"empty": 2, "too_old": 1})
    values = scrape()
    assert (values["higo_scanner_documents_total", "group"], values["higo_scanner_submitted_total", "group"]) == (9, 6)
    assert values["higo_scanner_refused_total", "empty", "group"] == 2


def test_before_a_first_start_there_is_nothing_to_tell(redis_client):
    values = scrape()
    assert values["higo_source_up", "scanners"] == 1
    assert not [name for name, *_ in values if name.startswith("higo_scanner_lag")]
