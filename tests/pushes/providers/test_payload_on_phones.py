"""What a producer hands over is what the phone shows: numbers to the digit, and nothing of its own overwritten."""

from collections.abc import Callable

import orjson
import pytest

from pushes.inbound.intake import store
from pushes.inbound.raw_list import Batch
from pushes.models import PushRecord
from pushes.names import Platform
from tests.make import make_account, make_app_key, make_device, make_secret
from tests.sandbox_process import Sandbox

pytestmark = pytest.mark.django_db(transaction=True)

TRADE_NUMBER = "2026112722001412345678901234"
RAW = (
    f'{{"to_id": "7", "app": "higo", "message": "已付款", "type": 8, "data": {{"trade_no": {TRADE_NUMBER}, '
    f'"order_id": 9007199254740993, "type": "vip", "n_id": 5}}}}'
).encode()


@pytest.mark.parametrize("platform", [Platform.ANDROID, Platform.IOS])
def test_numbers_and_reserved_names_reach_the_phone(
    platform: Platform, sandbox: Sandbox, run_jobs: Callable[..., int]
) -> None:
    secret = make_secret()
    key = make_app_key(platform=platform, endpoint_url=sandbox.url, secret=secret)
    sandbox.add_key(int(key.access_id), secret)
    token = "a1" * (32 if platform == Platform.IOS else 20)
    make_device(make_account("7"), platform=platform, token=token)
    store(Batch("batch", [RAW]))
    run_jobs()
    [received] = sandbox.received()
    custom = received["custom"] if isinstance(received["custom"], dict) else orjson.loads(received["custom"])
    shown = {name: str(value) for name, value in custom.items()}
    record = PushRecord.objects.get()
    assert record.data["trade_no"] == TRADE_NUMBER
    expected = {"trade_no": TRADE_NUMBER, "order_id": "9007199254740993", "type": "8"}
    expected |= {"custom_type": "vip", "custom_n_id": "5"}
    assert shown == expected | ({"n_id": str(record.pk)} if platform == Platform.IOS else {})
