"""The whole way of a push to each vendor: from a producer's message to what the phone shows, and what may go wrong."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import pytest
from redis import Redis

from pushes.keys import access_tokens
from pushes.models import AppKey, DeliveryResult, Device
from pushes.names import ProviderKind, Reason, Status
from pushes.providers.base import Sealed
from pushes.providers.registry import provider
from pushes.sending import transport
from pushes.submit import submit
from tests.make import make_account, make_app_key, make_device
from tests.pushes.providers.vendors import VENDORS, Vendor
from tests.pushes.rows import make_message
from tests.redis_database import empty
from tests.sandbox_process import Sandbox, running_sandbox

pytestmark = pytest.mark.django_db(transaction=True)
KINDS = (ProviderKind.APNS, ProviderKind.FCM, ProviderKind.JPUSH, ProviderKind.HUAWEI_V3, ProviderKind.HUAWEI_V1)
PLAYED = [vendor for vendor in VENDORS if vendor.kind in KINDS]
#: Where the vendors that exchange a secret for an access token are asked for one.
EXCHANGES = {ProviderKind.FCM: "/token", ProviderKind.HUAWEI_V1: "/oauth2/v3/token"}
ACCEPTED = (Status.ACCEPTED, "")


@dataclass
class Way:
    """A vendor, a key of the platform, and its phones."""

    vendor: Vendor
    sandbox: Sandbox
    key: AppKey
    run_jobs: Callable[..., int]
    devices: int = 0

    def sealed(self, **changes: str) -> Sealed:
        return provider(self.vendor.kind).sealed({**self.vendor.entered, **changes})

    def device(self, prefix: str = "") -> Device:
        """A phone of this vendor, of an account of its own."""
        self.devices += 1
        start = prefix or f"{self.devices:08x}"
        token = start + self.vendor.token[len(start) :]
        return make_device(make_account(), token=token, platform=self.key.platform, channel=self.key.channel)

    def push(self, *devices: Device) -> list[tuple[str, str]]:
        """Send a message of its own to each device; their states and reasons, in the order of the devices."""
        submit([make_message(device.account_id, title="标题", text="您有新的订单") for device in devices])
        self.run_jobs()
        rows = {row.token: (row.status, row.reason) for row in DeliveryResult.objects.order_by("id")}
        return [rows[device.token] for device in devices]

    def shown(self) -> list[tuple[str, str, str]]:
        """What the phones show: token, title and text."""
        return [(entry["token"], entry["title"], entry["content"]) for entry in self.sandbox.received()]

    def is_paused(self) -> bool:
        self.key.refresh_from_db()
        return self.key.paused_at is not None


@pytest.fixture
def way(
    request: pytest.FixtureRequest, sandbox: Sandbox, redis_client: Redis, run_jobs: Callable[..., int]
) -> Iterator[Way]:
    yield from way_to(request.param, sandbox, run_jobs)


def way_to(vendor: Vendor, sandbox: Sandbox, run_jobs: Callable[..., int]) -> Generator[Way, None, None]:
    access_tokens.forget()
    access_id, secret = provider(vendor.kind).sealed(vendor.entered)
    key = make_app_key(
        platform=vendor.platform, provider=vendor.kind, access_id=access_id, secret=secret, endpoint_url=sandbox.url
    )
    sandbox.add_key(access_id, secret)
    yield Way(vendor, sandbox, key, run_jobs)
    access_tokens.forget()


def name_of(vendor: Vendor) -> str:
    return vendor.name


to_each = pytest.mark.parametrize("way", PLAYED, ids=name_of, indirect=True)
with_tokens = pytest.mark.parametrize(
    "way", [vendor for vendor in PLAYED if vendor.kind in EXCHANGES], ids=name_of, indirect=True
)


@to_each
def test_a_message_reaches_the_phone(way):
    device = way.device()
    assert way.push(device) == [ACCEPTED]
    assert way.shown() == [(device.token, "标题", "您有新的订单")]
    assert DeliveryResult.objects.get().app_key_id == way.key.pk


@to_each
def test_a_dead_token_ends_its_device_alone(way):
    dead, alive = way.device("dead0000"), [way.device() for _ in range(20)]
    states = way.push(*alive, dead)
    assert states == [ACCEPTED] * 20 + [(Status.FAILED, Reason.BAD_TOKEN)]
    dead.refresh_from_db()
    assert not dead.is_active
    assert Device.objects.filter(is_active=True).count() == 20
    assert not way.is_paused()


@to_each
def test_a_wrong_key_is_paused_and_its_pushes_wait(way):
    access_id, secret = way.sealed(**way.vendor.wrong)
    way.sandbox.add_key(access_id, secret)
    devices = [way.device() for _ in range(3)]
    states = way.push(*devices)
    assert way.is_paused()
    assert way.shown() == []
    assert {status for status, _ in states} <= {Status.PENDING, Status.RETRYING, Status.FAILED}
    assert Device.objects.filter(is_active=True).count() == 3


@to_each
def test_a_throttled_push_waits(way):
    way.sandbox.set_profile("throttle", access_id=way.key.access_id)
    assert way.push(way.device()) == [(Status.RETRYING, Reason.THROTTLED)]
    assert way.shown() == []
    assert not way.is_paused()


@with_tokens
def test_an_access_token_that_expires_in_the_middle_is_renewed_once(way):
    assert way.push(way.device()) == [ACCEPTED]
    way.sandbox.expire_tokens(way.key.access_id)
    devices = [way.device() for _ in range(40)]
    assert way.push(*devices) == [ACCEPTED] * 40
    assert way.sandbox.stats()["by_path"][EXCHANGES[way.vendor.kind]] == 2
    assert way.sandbox.counts(by="token")["repeated"] == 0


@pytest.mark.parametrize(
    "way", [vendor for vendor in PLAYED if vendor.kind == ProviderKind.HUAWEI_V3], ids=name_of, indirect=True
)
def test_a_signed_token_that_expires_is_signed_anew(way):
    assert way.push(way.device()) == [ACCEPTED]
    way.sandbox.expire_tokens(way.key.access_id)
    assert way.push(*(way.device() for _ in range(10))) == [ACCEPTED] * 10


@pytest.mark.parametrize(
    "way", [vendor for vendor in PLAYED if vendor.kind == ProviderKind.APNS], ids=name_of, indirect=True
)
def test_apns_is_not_given_a_second_token_of_the_same_time(way):
    """All machines sign the same token, so another would not help: a clock is wrong. Nothing storms."""
    assert way.push(way.device()) == [ACCEPTED]
    way.sandbox.expire_tokens(way.key.access_id)
    devices = [way.device() for _ in range(10)]
    states = way.push(*devices)
    assert ACCEPTED not in states
    assert way.is_paused()
    assert way.sandbox.stats()["requests"] <= 12
    assert Device.objects.filter(is_active=True).count() == 11


@pytest.mark.parametrize(
    "way",
    [vendor for vendor in PLAYED if vendor.kind in (ProviderKind.APNS, ProviderKind.FCM)],
    ids=name_of,
    indirect=True,
)
def test_a_provider_that_takes_one_stream_until_it_knows_the_token(way):
    first = way.device()
    assert way.push(first) == [ACCEPTED]
    transport.hang_up()
    way.sandbox.set_first_streams(1)
    devices = [way.device() for _ in range(60)]
    assert way.push(*devices) == [ACCEPTED] * 60
    assert sorted(token for token, *_ in way.shown()) == sorted(device.token for device in [first, *devices])


@pytest.mark.parametrize("vendor", PLAYED, ids=name_of)
def test_everything_may_be_restarted(vendor, process_environment, redis_client, run_jobs):
    """The vendor forgets the tokens that it gave, Redis those that were shared, and a worker what it remembers."""
    with running_sandbox(environment=process_environment) as first:
        ways = way_to(vendor, first, run_jobs)
        way = next(ways)
        one, other, third = (way.device() for _ in range(3))
        assert way.push(one) == [ACCEPTED]
        port = int(first.url.rpartition(":")[2])
    with running_sandbox(environment=process_environment, port=port) as second:
        way.sandbox = second
        assert way.push(other) == [ACCEPTED]
        empty(redis_client)
        access_tokens.forget()
        transport.hang_up()
        assert way.push(third) == [ACCEPTED]
        assert sorted(token for token, _, _ in way.shown()) == sorted([other.token, third.token])
    ways.close()
