"""The usual scene of a benchmark: accounts with a device each, one app key, the sandbox, our processes.

Everything is put there by the commands that an operator would use.
"""

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import phpserialize
import redis

from bench import harness
from tests.sandbox_process import Sandbox, running_sandbox

SECRET = secrets.token_hex(16)
RAW_LIST = "hg_message_queue"
CHUNK = 1_000


@dataclass(slots=True)
class Scene:
    """`number` counts the orders made so far; every one is distinct. Account ids begin with `prefix`."""

    machine: harness.Machinery
    sandbox: Sandbox
    accounts: int
    number: int = 0
    expected: int = 0
    prefix: str = ""

    def orders(self, count: int, **more: Any) -> list[bytes]:
        """`count` orders as PHP would serialise them, each to the next account."""
        numbers = range(self.number, self.number + count)
        self.number += count
        return [phpserialize.dumps({**self._order(number), **more}) for number in numbers]

    def _order(self, number: int) -> dict[str, Any]:
        return {
            "type": 5,
            "to_id": f"{self.prefix}{number % self.accounts}",
            "app": "higo",
            "title": "新订单",
            "message": f"您有一个新订单 {number}，请及时处理",
            "data": {"order_id": number},
            "msg_id": f"bench-{number}",
        }

    def push_orders(self, count: int) -> None:
        """RPUSH `count` orders, as producers do."""
        for start in range(0, count, CHUNK):
            self.push(self.orders(min(CHUNK, count - start)))

    def push(self, orders: list[bytes]) -> None:
        """RPUSH orders that were made beforehand, so that making them costs nothing of what is measured."""
        with redis.Redis.from_url(self.machine.redis_url) as client:
            for start in range(0, len(orders), CHUNK):
                client.rpush(RAW_LIST, *orders[start : start + CHUNK])
        self.expected += len(orders)

    def accepted(self) -> int:
        """Deliveries recorded as accepted so far, from the counters that are written with them."""
        found = self.machine.query("SELECT COALESCE(SUM(count), 0) FROM pushes_counter WHERE event = 'accepted'")
        return int(found[0][0])

    def wait_until_done(self, *, seconds: float) -> None:
        """Until everything pushed so far is recorded as accepted, and not one more. Raises TimeoutError."""
        harness.wait_until(lambda: self.accepted() >= self.expected, seconds=seconds, what="the last acceptance")
        if self.accepted() != self.expected:
            raise AssertionError(f"{self.accepted()} accepted, {self.expected} expected")


@contextlib.contextmanager
def scene(
    *,
    accounts: int,
    latency_ms: float,
    lanes: Sequence[str] = ("system",),
    workers: int = 1,
    intake: bool = True,
    **settings: str,
) -> Iterator[Scene]:
    """Accounts 0…n-1 with one Android device each, one key of the sandbox, and our processes running."""
    with (
        running_sandbox(latency_ms=latency_ms, keys={harness.ACCESS_ID: SECRET}) as sandbox,
        harness.machinery(SANDBOX_URL=sandbox.url, **settings) as machine,
        contextlib.ExitStack() as stack,
    ):
        _import_keys(machine)
        _import_devices(machine, accounts)
        if intake:
            stack.enter_context(machine.process("runintake"))
        for lane in lanes:
            stack.enter_context(machine.process("runworkers", lane, "--processes", workers))
        stack.enter_context(machine.process("runsweeper"))
        yield Scene(machine, sandbox, accounts)


def _import_keys(machine: harness.Machinery) -> None:
    ini = machine.folder / "keys.ini"
    ini.write_text(f"android_higo_appid = {harness.ACCESS_ID}\nandroid_higo_skey = {SECRET}\n")
    machine.manage("importappkeys", str(ini), "--provider", "sandbox")


def _import_devices(machine: harness.Machinery, accounts: int) -> None:
    csv = machine.folder / "devices.csv"
    lines = [f"{number},higo,android,production,{number:040x}" for number in range(accounts)]
    csv.write_text("\n".join(["account_id,app,platform,environment,token", *lines]) + "\n")
    machine.manage("importdevices", str(csv))
