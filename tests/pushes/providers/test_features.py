"""What each provider can say of a notification: the matrix in docs/providers.md, held against the calls themselves."""

import re
from typing import Any

import pytest

from pushes.names import Environment, MessageClass
from pushes.providers.base import HttpRequest
from pushes.providers.registry import PROVIDERS, provider
from pushes.values import Credentials, Notification
from tests.environment import PROJECT
from tests.pushes.providers.vendors import VENDORS, Vendor

NOW = 1_764_230_400
PLAIN: dict[str, Any] = {"title": "t", "content": "c", "custom": {"a": "1"}, "expire_seconds": 3600}
#: The columns of the matrix, each with another value of its field.
FEATURES: dict[str, dict[str, Any]] = {
    "title": {"title": "T"},
    "subtitle": {"subtitle": "s"},
    "body": {"content": "C"},
    "data": {"custom": {"a": "2"}},
    "link": {"link": "higo://order/7"},
    "image": {"image": "https://img.example.com/1.jpg"},
    "sound": {"sound": "ding.caf"},
    "badge": {"badge": 7},
    "category": {"category": "IM"},
    "class": {"message_class": MessageClass.ORDER},
    "thread": {"thread": "group:7"},
    "Android channel": {"channel_id": "orders"},
    "replaces": {"replace_id": 9},
    "urgency": {"is_urgent": False},
    "expiry": {"expire_seconds": 7200},
}
#: What a cell says: the phone acts on it; the app finds it in its data and has to act; it is left out.
MARKS = {"yes", "data", "–"}


def call(vendor: Vendor, **fields: Any) -> HttpRequest:
    own = provider(vendor.kind)
    access_id, secret = own.sealed(vendor.entered)
    credentials = Credentials(vendor.kind, access_id, "", vendor.platform, Environment.PRODUCTION, secret, "token")
    return own.to_device(own.prepare(credentials, Notification(**PLAIN | fields)), vendor.token, now=NOW)


def matrix() -> dict[str, dict[str, str]]:
    """The rows of the documents' matrix: provider and platform, and the mark of each feature."""
    text = (PROJECT / "docs" / "providers.md").read_text()
    [lines] = re.findall(r"\n\| provider \| title \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text)
    [head] = re.findall(r"\n(\| provider \| title \|.*)\n", text)
    names = cells(head)[1:]
    return {row[0].replace("`", ""): dict(zip(names, row[1:], strict=True)) for row in map(cells, lines.splitlines())}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


# The sandbox says what Xinge v2 says.
SHOWN = [vendor for vendor in VENDORS if provider(vendor.kind).reaches_phones]


@pytest.mark.parametrize("vendor", SHOWN, ids=lambda vendor: vendor.name)
def test_the_matrix_tells_what_each_provider_can_say(vendor: Vendor):
    row, plain = matrix()[f"{vendor.kind} {vendor.platform}"], call(vendor)
    said = {name for name, change in FEATURES.items() if call(vendor, **change) != plain}
    assert {name for name, mark in row.items() if mark != "–"} == said
    assert set(row.values()) <= MARKS


def test_the_matrix_has_every_provider_and_every_feature():
    wanted = {(known, platform) for known in PROVIDERS if known.reaches_phones for platform in known.platforms}
    assert set(matrix()) == {f"{known.kind} {platform}" for known, platform in wanted}
    assert [list(row) for row in matrix().values()] == [list(FEATURES)] * len(matrix())


def test_every_field_of_a_notification_is_a_feature():
    changed = {field for change in FEATURES.values() for field in change}
    assert changed == set(Notification.__dataclass_fields__)
