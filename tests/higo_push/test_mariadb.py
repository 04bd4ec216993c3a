"""What our backend reads from MariaDB."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import connections
from django.db.models import Max
from django.db.models.functions import TruncHour

from pushes.models import Lease
from tests.needs import needs

pytestmark = pytest.mark.mariadb
UTC_NOON = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=timezone.utc)


@pytest.fixture
def base() -> Any:
    """The module, which needs MariaDB's client library."""
    needs("mariadb")
    from higo_push.mariadb import base

    return base


@pytest.mark.parametrize(("text", "microseconds"), [("2026-03-01 12:30:15.123456", 123456), ("2026-03-01 12:30:15", 0)])
def test_an_instant_is_read_to_the_microsecond_in_utc(base: Any, text: str, microseconds: int):
    assert base.instant(text) == UTC_NOON.replace(microsecond=microseconds)


def test_an_odd_fraction_is_read_too(base: Any):
    assert base.instant("2026-03-01 12:30:15.1") == UTC_NOON.replace(microsecond=100_000)


def test_the_zero_date_is_none(base: Any):
    assert base.instant("0000-00-00 00:00:00") is None


@pytest.mark.django_db
@pytest.mark.parametrize("offset_hours", [-5, 0, 8])
def test_what_was_stored_is_read_back_whatever_its_zone(offset_hours: int):
    until = UTC_NOON.astimezone(timezone(timedelta(hours=offset_hours)))
    Lease.objects.create(name="x", holder="y", until=until)
    read = Lease.objects.get().until
    assert (read, read.utcoffset()) == (UTC_NOON, timedelta(0))


@pytest.mark.django_db
def test_computed_instants_have_a_zone_too():
    Lease.objects.create(name="x", holder="y", until=UTC_NOON)
    hour = Lease.objects.annotate(hour=TruncHour("until", tzinfo=timezone.utc)).values_list("hour", flat=True).get()
    assert hour == UTC_NOON.replace(minute=0, second=0, microsecond=0)
    assert Lease.objects.aggregate(last=Max("until"))["last"] == UTC_NOON


def test_a_mysql_address_chooses_this_backend():
    needs("mariadb")
    assert type(connections["default"]).__module__ == "higo_push.mariadb.base"
