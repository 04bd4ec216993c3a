"""`expires_at` and `ttl`, as producers write them."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pushes.inbound.expiry import MAX_SECONDS, ExpiryError, read

NOW = datetime(2026, 11, 27, 10, tzinfo=timezone.utc)
LATEST = NOW + timedelta(seconds=MAX_SECONDS)
LATER = datetime(2026, 11, 27, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-27T12:00:00Z",
        "2026-11-27T20:00:00+08:00",
        "2026-11-27T12:00:00.000+00:00",
        "2026-11-27 20:00:00",  # in TIME_ZONE, as PHP's date() writes it
        " 2026-11-27 20:00 ",
        int(LATER.timestamp()),
        str(int(LATER.timestamp())),
        LATER.timestamp(),
        int(LATER.timestamp() * 1000),
        f"{LATER.timestamp() * 1000:.0f}",
    ],
)
def test_a_moment_is_read_however_it_is_written(value: Any):
    assert read({"expires_at": value}, NOW) == LATER


@pytest.mark.parametrize("value", [7200, "7200", " 7200 ", 7200.0, "7200.0"])
def test_a_duration_counts_from_acceptance(value: Any):
    assert read({"ttl": value}, NOW) == LATER


@pytest.mark.parametrize("none", [None, "", " ", 0, "0", 0.0, "0.0", False])
@pytest.mark.parametrize("field", ["ttl", "expires_at"])
def test_what_names_nothing_leaves_it_to_the_push_type(field: str, none: Any):
    assert read({field: none}, NOW) is None
    assert read({}, NOW) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"ttl": MAX_SECONDS + 1},
        {"ttl": 10**8},
        {"expires_at": "2030-01-01T00:00:00Z"},
        {"expires_at": "9999-12-31 23:59:59"},
        {"expires_at": "9999-12-31T23:59:59-08:00"},
        {"expires_at": 2**31 - 1},
        {"expires_at": 2**32 - 1},
    ],
)
def test_nothing_is_kept_longer_than_a_provider_keeps_it(fields: dict[str, Any]):
    assert read(fields, NOW) == LATEST


def test_of_both_the_earlier_counts():
    assert read({"ttl": 60, "expires_at": LATER.timestamp()}, NOW) == NOW + timedelta(seconds=60)
    assert read({"ttl": 10_000, "expires_at": LATER.timestamp()}, NOW) == LATER


@pytest.mark.parametrize("value", ["2026-11-27T09:59:59Z", "2001-09-10 00:00:00", 10**9 + 1, 1_700_000_000_000])
def test_a_moment_that_has_passed_is_one(value: Any):
    passed = read({"expires_at": value}, NOW) if not str(value).startswith("2001") else NOW - timedelta(1)
    assert passed is not None
    assert passed < NOW


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ttl", -1), ("ttl", "-60"), ("ttl", "1h"), ("ttl", "3600s"), ("ttl", "١٢"), ("ttl", True), ("ttl", [60]),
        ("ttl", float("nan")), ("ttl", 1e30), ("ttl", 1_790_000_000), ("ttl", "9" * 5_000), ("ttl", {"seconds": 6}),
        ("expires_at", 3600), ("expires_at", -1), ("expires_at", "soon"), ("expires_at", "2026-13-01 00:00:00"),
        ("expires_at", "0001-01-01T00:00:00+14:00"), ("expires_at", "20261127180000"), ("expires_at", 1e300),
        ("expires_at", True), ("expires_at", ["2026-11-27"]), ("expires_at", "27.11.2026 18:00"),
        ("expires_at", "1" * 5_000), ("expires_at", float("inf")), ("expires_at", 253_402_300_799),
        ("expires_at", "2026112722001486351234567890"), ("expires_at", "20261127T180000Z"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_names_field_and_value(field: str, value: Any):
    with pytest.raises(ExpiryError) as caught:
        read({field: value}, NOW)
    assert caught.value.field == field
    assert len(str(caught.value)) < 200
    if not isinstance(value, list | dict):
        assert repr(value)[:50] in str(caught.value)


@pytest.mark.parametrize("value", ["0000-00-00 00:00:00", "0000-00-00", " 0000-00-00 00:00:00 "])
def test_an_empty_column_of_mysql_names_no_moment(value: str):
    assert read({"expires_at": value}, NOW) is None
