"""RQ's entry points. Thin, safe to run twice, and imported by nobody: `queues` names them by path."""

from functools import partial

from django.conf import settings
from django.db import close_old_connections

from pushes import background, broadcasts, deliver, exports, lanes, queues
from pushes import distribute as distribution
from pushes.admin import export_rows


def distribute(record_ids: list[int]) -> None:
    close_old_connections()
    distribution.distribute(queues.absorb_waiting(record_ids))


def send(delivery_ids: list[int]) -> None:
    origin = queues.current_queue()
    is_ordered = origin in lanes.ordered_queues(settings.QUEUE_MAX)
    background.run(
        partial(deliver.deliver, queues.absorb_waiting(delivery_ids)), in_order_with=origin if is_ordered else ""
    )


def expand_broadcast(broadcast_id: int) -> None:
    close_old_connections()
    broadcasts.expand(broadcast_id)


def export(export_id: int) -> None:
    close_old_connections()
    exports.write(export_id, export_rows.read, export_rows.cells)
