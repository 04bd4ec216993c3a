"""RQ's entry points. Thin, safe to run twice, and imported by nobody: `queues` names them by path."""

from functools import partial

from django.conf import settings
from django.db import close_old_connections

from pushes import background, broadcasts, deliver, lanes, queues
from pushes import distribute as distribution


def distribute(record_ids: list[int]) -> None:
    close_old_connections()
    for batch in queues.absorb_waiting(record_ids):
        background.distribute(partial(distribution.distribute, batch))


def send(delivery_ids: list[int]) -> None:
    origin = queues.current_queue()
    is_ordered = origin in lanes.ordered_queues(settings.QUEUE_MAX)
    # What must leave in order goes to one device, and so under one app key; two keys need not wait for each other.
    turn = f"{origin}:{queues.current_app_key()}" if is_ordered else ""
    for batch in queues.absorb_waiting(delivery_ids):
        background.send(partial(deliver.deliver, batch), in_order_with=turn)


def expand_broadcast(broadcast_id: int) -> None:
    close_old_connections()
    broadcasts.expand(broadcast_id)
