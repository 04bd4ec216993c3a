"""POST /pushes, GET and DELETE /pushes/{id}, GET /pushes/{id}/deliveries."""

import secrets
from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from django.http import HttpResponse
from redis import RedisError

from pushes import submit
from pushes.api.endpoint import RETRY_SECONDS, Call, answer
from pushes.api.errors import ApiError, invalid, not_found
from pushes.api.fields import MAX_ID, moment, object_of, query_integer
from pushes.distribution import withdrawal
from pushes.history import answers
from pushes.inbound import orders
from pushes.ledger.same_push import Conflict
from pushes.models import DeliveryResult, PushRecord
from pushes.names import Kind, Status
from pushes.people import channels
from pushes.storage import clocks
from pushes.text import notes, presentation
from pushes.values import PushMessage

SOURCE = "api"
MAX_BODY = 4 * 1024 * 1024
MAX_ITEMS = 1_000
MAX_KEY = 128
MAX_PAGE, DEFAULT_PAGE = 500, 100
#: What the API calls a message's fields, where that is another name.
FIELDS_OF_MESSAGES = {"accounts": "to_id", "text": "message"}
FIELDS = (
    *("type", "to_id", "app", "via", "title", "message", "data", "msg_id", "expires_at", "ttl"),
    *presentation.FIELDS,
)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one item: the id of its push, or an error."""

    status: str
    record_id: int | None = None
    error: ApiError | None = None

    def as_dict(self) -> dict[str, Any]:
        if self.error:
            return {"status": "error", "error": self.error.as_dict()}
        return {"status": self.status, "id": self.record_id}


def create(call: Call) -> HttpResponse:
    """Submit one push, or a list of up to 1,000: each item of a list is accepted or refused separately."""
    _refuse_backlog()
    key = _idempotency_key(call)
    if not isinstance(call.body, list):
        (result,) = _submit(call, [call.body], key)
        if result.error:
            raise result.error
        return answer(202, result.as_dict())
    if not call.body:
        raise ApiError(422, "empty_list", "The list is empty.")
    if len(call.body) > MAX_ITEMS:
        raise ApiError(
            413, "too_many_items", f"A list may hold at most {MAX_ITEMS} pushes; this one holds {len(call.body)}."
        )
    results = _submit(call, call.body, key)
    counts = {name: sum(result.status == name for result in results) for name in ("accepted", "duplicate", "error")}
    return answer(202, {"results": [result.as_dict() for result in results], "counts": counts})


def _refuse_backlog() -> None:
    try:
        is_backlogged = submit.is_backlogged(Kind.SYSTEM)
    except RedisError:
        # Pushes stored now are distributed when Redis is back: accepting does not need it.
        return
    if is_backlogged:
        message = "Too many pushes are waiting; slow down and try again later."
        raise ApiError(429, "backlogged", message, headers={"Retry-After": RETRY_SECONDS})


def _idempotency_key(call: Call) -> str:
    key = call.request.headers.get("Idempotency-Key")
    if key is None:
        return ""
    if not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise ApiError(
            400, "bad_idempotency_key", f"Idempotency-Key must have 1 to {MAX_KEY} visible ASCII characters."
        )
    return key


def _submit(call: Call, items: list[Any], key: str) -> list[Result]:
    """Return a result for each item. Ids are per token: two clients may use the same `msg_id`."""
    base = key or secrets.token_hex(16)
    token_id = call.token.pk if call.token else 0
    read = [_read(item, f"{token_id}:{base}:{index}", token_id) for index, item in enumerate(items)]
    messages = [message for message in read if isinstance(message, PushMessage)]
    results = iter(submit.submit(messages, tells_conflicts=True).results)
    return [Result("error", error=one) if isinstance(one, ApiError) else _result(one, next(results)) for one in read]


def _read(item: Any, identity: str, token_id: int) -> PushMessage | ApiError:
    try:
        fields = object_of(item, FIELDS)
        return orders.read(fields, source=SOURCE, identity=identity, owner=str(token_id), now=clocks.now())
    except ApiError as error:
        return error
    except orders.OrderError as error:
        return invalid(error.field, f"{error.field}: {error.detail}.", code=error.reason)


def _result(message: PushMessage, result: submit.Result) -> Result:
    if isinstance(result, submit.Stored):
        return Result("accepted" if result.is_new else "duplicate", result.record_id)
    return Result("error", error=_conflict(message, result) if isinstance(result, Conflict) else _refusal(result))


def _conflict(message: PushMessage, conflict: Conflict) -> ApiError:
    name = f"msg_id {message.message_id!r}" if message.message_id else "This Idempotency-Key"
    return ApiError(409, "conflict", f"{conflict.note(name)}.", field="msg_id" if message.message_id else "")


def _refusal(refused: submit.Refused) -> ApiError:
    """Under the API's own names of the fields."""
    refused = refused._replace(field=FIELDS_OF_MESSAGES.get(refused.field, refused.field))
    return invalid(refused.field, f"{refused.note}.", code=refused.code)


def show(_call: Call, record_id: int) -> HttpResponse:
    """Show state and counts of one push; never its text."""
    record = _record(record_id)
    counts = DeliveryResult.objects.filter(record_id=record_id).values_list("status").annotate(Count("id")).order_by()
    return answer(
        200,
        {
            "id": record.pk,
            "kind": record.kind,
            "type": record.push_type,
            "app": record.app,
            "via": record.platform or None,
            "source": record.source,
            "msg_id": record.message_id or None,
            "status": record.status,
            "detail": notes.english(record.status_detail) or None,
            "recipients": len(record.accounts),
            "created_at": moment(record.created_at),
            "distributed_at": moment(record.distributed_at),
            "expires_at": moment(record.expires_at),
            "withdrawn_at": moment(record.withdrawn_at),
            "deliveries": dict(counts),
        },
    )


def withdraw(call: Call, record_id: int) -> HttpResponse:
    """Cancel the unsent deliveries; a second call answers the same, except for deliveries that were in flight."""
    record = _record(record_id)
    try:
        done = withdrawal.withdraw(record.pk, by=f"api:{call.token.name}" if call.token else "api")
    except withdrawal.OfBroadcastError as error:
        raise ApiError(409, "broadcast", f"{error}: cancel that.".capitalize()) from None
    return answer(
        200,
        {
            "id": done.record.pk,
            "status": done.record.status,
            "withdrawn": done.withdrawn,
            "already_sent": done.already_sent,
            "under_way": done.under_way,
        },
    )


def deliveries(call: Call, record_id: int) -> HttpResponse:
    """Show a page of one push's deliveries, by id; `next` is the `after` of the next page, null on the last."""
    _record(record_id)
    query = call.request.GET
    after = query_integer(query.get("after"), "after", default=0, least=0, most=MAX_ID)
    limit = query_integer(query.get("limit"), "limit", default=DEFAULT_PAGE, least=1, most=MAX_PAGE)
    rows = DeliveryResult.objects.filter(record_id=record_id, pk__gt=after).order_by("pk")
    if status := query.get("status"):
        if status not in Status.values:
            raise ApiError(400, "invalid", f"status must be one of {', '.join(Status.values)}.", field="status")
        rows = rows.filter(status=status)
    page = list(rows[: limit + 1])
    more = len(page) > limit
    of_rows = channels.of_deliveries(page[:limit])
    items = [_delivery(row, of_rows.get(row.pk)) for row in page[:limit]]
    return answer(
        200,
        {
            "items": items,
            "next": page[limit - 1].pk if more else None,
        },
    )


def _record(record_id: int) -> PushRecord:
    record = PushRecord.objects.defer("text", "data").filter(pk=record_id).first() if record_id <= MAX_ID else None
    if record is None:
        raise not_found("push")
    return record


def _delivery(row: DeliveryResult, channel: str | None) -> dict[str, Any]:
    return {
        "id": row.pk,
        "account_id": row.account_id,
        "platform": row.platform or None,
        "environment": row.environment or None,
        "channel": channel,
        "token": row.masked_token or None,
        "status": row.status,
        "reason": row.reason or None,
        "attempts": row.attempts,
        "may_have_arrived": row.may_have_arrived or row.status == Status.UNKNOWN,
        "http_status": row.http_status,
        "provider_code": answers.code(row.provider_code),
        "provider_text": row.provider_text or None,
        "provider_push_id": row.provider_push_id or None,
        "created_at": moment(row.created_at),
        "due_at": moment(row.due_at),
        "sent_at": moment(row.sent_at),
        "finished_at": moment(row.finished_at),
    }
