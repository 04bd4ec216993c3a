"""What each stage costs, one after the other in one process: `bench overhead` runs this.

The job queue is left out (RQ's share is the difference to the whole), since every stage is called directly.
"""

import secrets
import time
from collections.abc import Callable
from typing import TypeVar

import phpserialize
from django.utils import timezone

from bench import harness
from pushes.distribution import distribute
from pushes.inbound import intake, orders, payload
from pushes.inbound.raw_list import Batch
from pushes.models import AppKey, DeliveryResult, PushRecord, policies
from pushes.providers.registry import provider
from pushes.sending import compose, job
from pushes.storage import shared_redis
from pushes.values import Content

PUSHES, BATCH = 5_000, 500
T = TypeVar("T")


def measured(name: str, work: Callable[[], T], rows: list[dict[str, object]]) -> T:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rows.append({"stage": name, "CPU µs/push": cpu / PUSHES * 1e6, "wall µs/push": wall / PUSHES * 1e6})
    return result


def batches(ids: list[int]) -> list[list[int]]:
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]


def main() -> None:
    rows: list[dict[str, object]] = []
    raws = [
        phpserialize.dumps(
            {"type": 5, "to_id": str(n), "app": "higo", "message": f"您有一个新订单 {n}", "msg_id": f"stage-{n}"}
        )
        for n in range(PUSHES)
    ]
    measured("parse", lambda: [orders.read(payload.parse(raw), source="x", identity="x") for raw in raws], rows)
    chunks = [raws[start : start + BATCH] for start in range(0, PUSHES, BATCH)]
    measured("intake (parse, store)", lambda: [intake.store(Batch(secrets.token_hex(8), raw)) for raw in chunks], rows)
    record_ids = list(PushRecord.objects.order_by("id").values_list("id", flat=True))
    measured("distribute", lambda: [distribute.distribute(ids) for ids in batches(record_ids)], rows)
    delivery_ids = list(DeliveryResult.objects.order_by("id").values_list("id", flat=True))
    _compose_and_sign(record_ids, rows)
    measured("deliver (claim … settle)", lambda: [job.deliver(ids) for ids in batches(delivery_ids)], rows)
    shared_redis.connection().flushdb()
    accepted = DeliveryResult.objects.filter(status="accepted").count()
    if accepted != PUSHES:
        raise SystemExit(f"only {accepted} of {PUSHES} were accepted")
    harness.table("stages", rows)


def _compose_and_sign(record_ids: list[int], rows: list[dict[str, object]]) -> None:
    """A part of deliver, measured alone: content → notification → signed request."""
    key, rules, now = AppKey.objects.get(), policies(), timezone.now()
    sender, credentials = provider(key.provider), key.credentials()
    contents = [Content(*row) for row in PushRecord.objects.filter(id__in=record_ids).values_list(*Content._fields)]
    measured(
        "  of which compose and sign",
        lambda: [
            sender.to_device(
                sender.prepare(credentials, compose.compose(content, rules[content.push_type], now)), "a" * 40, now=1
            )
            for content in contents
        ],
        rows,
    )
