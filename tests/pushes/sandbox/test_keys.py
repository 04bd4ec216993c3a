import asyncio
import time

import pytest

from pushes.names import Platform
from pushes.providers.huawei_v3 import Account
from pushes.providers.sandbox import SandboxProvider
from pushes.sandbox.keys import AccessId, KeyRing, credentials


class Table:
    """A key table that counts how often it is read."""

    def __init__(self) -> None:
        self.rows: dict[AccessId, str] = {}
        self.reads = 0

    def load(self) -> list[tuple[AccessId, str]]:
        self.reads += 1
        return list(self.rows.items())


def secret_of(ring: KeyRing, access_id: int) -> str:
    key = ring.get(access_id)
    assert key is not None
    return key.secret


@pytest.mark.parametrize(
    ("access_id", "platform"),
    [
        (2100047733, Platform.ANDROID),
        (2199999999, Platform.ANDROID),
        (2200000000, Platform.IOS),
        (2200052868, Platform.IOS),
        (1500000001, Platform.ANDROID),
        (1600000001, Platform.IOS),
    ],
)
def test_the_access_id_tells_the_platform(access_id, platform):
    assert SandboxProvider.platform_of(str(access_id)) is platform


def test_given_keys_are_known():
    async def run():
        ring = KeyRing({1: "a"})
        ring.add(2, "b")
        assert (secret_of(ring, 1), secret_of(ring, 2), ring.get(3)) == ("a", "b", None)
        assert ring.access_ids() == [1, 2]
        assert not ring.may_be_stale(None)

    asyncio.run(run())


def test_a_key_that_is_added_to_the_table_is_found_within_a_second():
    async def run():
        table = Table()
        ring = KeyRing({}, table.load)
        await ring.load()
        table.rows[7] = "new"
        started = time.monotonic()
        await ring.refresh()
        assert secret_of(ring, 7) == "new"
        assert time.monotonic() - started < 2

    asyncio.run(run())


def test_many_that_ask_at_once_share_a_reading():
    async def run():
        table = Table()
        ring = KeyRing({}, table.load)
        await asyncio.gather(*(ring.refresh() for _ in range(50)))
        assert table.reads == 1

    asyncio.run(run())


def test_a_changed_secret_is_found():
    async def run():
        table = Table()
        table.rows[7] = "old"
        ring = KeyRing({1: "mine"}, table.load)
        await ring.load()
        assert ring.may_be_stale(ring.get(7))
        assert not ring.may_be_stale(ring.get(1))
        table.rows[7] = "new"
        await ring.refresh()
        assert secret_of(ring, 7) == "new"

    asyncio.run(run())


def test_a_table_that_cannot_be_read_is_a_warning(caplog):
    def fail():
        raise OSError("no such table")

    async def run():
        ring = KeyRing({1: "a"}, fail)
        await ring.load()
        assert secret_of(ring, 1) == "a"

    asyncio.run(run())
    assert "app keys could not be read: no such table" in caplog.text


def test_a_secret_does_not_show():
    async def run():
        return repr(KeyRing({1: "s3cr3t"}).get(1))

    assert "s3cr3t" not in asyncio.run(run())


def test_one_access_id_may_have_several_keys_in_the_table():
    async def run():
        ring = KeyRing({}, lambda: [("k", "first"), ("k", "second"), ("k", "first"), (7, "x")])
        await ring.load()
        assert [key.secret for key in ring.all("k")] == ["first", "second"]
        assert {key.access_id for key in ring} == {7, "k"}
        ring.add("k", "mine")
        assert [key.secret for key in ring.all("k")] == ["mine"]

    asyncio.run(run())


@pytest.mark.parametrize(
    "secret", ["", "plain", "[]", '{"key_id": "x"}', '{"key_id": 7, "sub_account": "", "private_key": ""}']
)
def test_credentials_of_another_kind_are_none(secret):
    assert credentials(secret, Account) is None


def test_credentials_are_read():
    sealed = '{"key_id": "k", "sub_account": "s", "private_key": "p"}'
    assert credentials(sealed, Account) == Account("k", "s", "p")
