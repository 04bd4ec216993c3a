"""Find dead letters by the message id in their bytes. Bytes have no index, so only the newest are read."""

import re
from collections.abc import Collection, Iterator

from django.db.models import QuerySet

from pushes.inbound import orders, payload
from pushes.models import DeadLetter
from pushes.names import CONFLICT, INTAKE_SOURCE, DeadLetterStatus

MAX_READ = 2_000
MAX_CONFLICTS = 20


def newest(message_id: str) -> DeadLetter | None:
    """Return the newest letter that contains the id, without its bytes."""
    found = next(_naming(message_id, DeadLetter.objects.all()), None)
    return None if found is None else DeadLetter.objects.defer("raw").get(pk=found[0])


def conflicts(account_id: str, message_ids: Collection[str]) -> list[DeadLetter]:
    """Return conflicting pushes for the account under one of these used ids, oldest first and without their bytes."""
    letters = DeadLetter.objects.filter(reason=CONFLICT, status__in=DeadLetterStatus.values)
    numbers = [pk for message_id in message_ids for pk, raw in _naming(message_id, letters) if _is_for(account_id, raw)]
    return list(DeadLetter.objects.defer("raw").filter(pk__in=numbers[:MAX_CONFLICTS]).order_by("pk"))


def _naming(message_id: str, letters: "QuerySet[DeadLetter]") -> Iterator[tuple[int, bytes]]:
    """Return number and bytes of each recent letter that contains the id, newest first."""
    if not message_id:
        return
    # As a whole word, so that order 12 is not found in order 123.
    wanted = re.compile(rb"(?<![0-9A-Za-z_-])" + re.escape(message_id.encode()) + rb"(?![0-9A-Za-z_-])")
    rows = letters.order_by("-pk").values_list("pk", "raw")[:MAX_READ]
    for pk, raw in rows.iterator(chunk_size=100):
        if wanted.search(bytes(raw)):
            yield pk, bytes(raw)


def _is_for(account_id: str, raw: bytes) -> bool:
    try:
        message = orders.read(payload.parse(raw), source=INTAKE_SOURCE, identity="-")
    except (payload.PayloadError, orders.OrderError):
        return False
    return account_id in message.audience.accounts
