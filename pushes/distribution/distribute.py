"""Turn records into deliveries: who is addressed, who is eligible, under which app key. One batch, one transaction."""

import logging
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, zip_longest
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from pushes import lanes
from pushes.distribution import coalescing, eligibility, windows
from pushes.distribution.planned import Draft, Pending, order_key, rows
from pushes.ledger import counters
from pushes.models import AppKey, DeliveryResult, PushRecord, Resend, policies
from pushes.names import RESEND_SOURCE, Reason, RecordStatus, Status
from pushes.people import installations
from pushes.people.directory import Directory, directory
from pushes.storage import batches, bulk, clocks, conflicts
from pushes.text import notes
from pushes.text.sentences import Sentence
from pushes.values import DeviceTarget, Policy, Recipient
from pushes.workers import queues

log = logging.getLogger(__name__)

LOOKUP_SIZE = 1_000
#: A record for more accounts than this is distributed in parts.
PART_ACCOUNTS = 2_000
KeyIds = dict[tuple[str, str, str, str], int]


@dataclass(frozen=True, slots=True)
class Batch:
    """What is the same for all records of a batch, looked up once."""

    now: datetime
    policies: dict[int, Policy]
    key_ids: KeyIds
    decisions: dict[int, windows.Decision]


@conflicts.repeated
def distribute(record_ids: Sequence[int], *, now: datetime | None = None) -> int:
    """Turn the records that are still pending into delivery rows, and enqueue their sending.

    Safe to run twice, and by two workers at the same time: a record is locked, distributed and marked in one
    transaction. Returns the number of rows made. Raises redis.RedisError when presence cannot be read; the records
    then stay pending, and the sweeper tries again. A record that cannot be distributed for any other reason is
    marked as failed, without affecting the others. For a record with very many accounts this makes the next part
    only, and enqueues the remaining parts.
    """
    now = now or clocks.now()
    try:
        with transaction.atomic():
            return _distribute_until_large(_take(record_ids), now)
    except Exception as error:
        if queues.must_wait(error):
            raise
        log.warning("a batch of %s pushes cannot be distributed; trying one by one", len(record_ids), exc_info=True)
    with transaction.atomic():
        waiting = deque(record.id for record in _take(record_ids))
    made = 0
    while waiting:
        made += _distribute_alone(waiting.popleft(), waiting, now)
    return made


def _distribute_alone(record_id: int, behind: deque[int], now: datetime) -> int:
    """Distribute one record. Empties `behind` when the records in it must wait for further parts of this one."""
    try:
        with transaction.atomic():
            return _distribute_until_large(_locked([record_id], in_order=True), now, behind)
    except Exception as error:
        if queues.must_wait(error):
            raise
        log.exception("push #%s cannot be distributed", record_id)
        PushRecord.objects.filter(pk=record_id, status=RecordStatus.PENDING).update(
            status=RecordStatus.FAILED,
            status_detail=notes.stored(notes.of_error(error, Sentence.NOT_DISTRIBUTED), most=200),
        )
        return 0


def _distribute_until_large(records: Sequence[Pending], now: datetime, behind: deque[int] | None = None) -> int:
    """Distribute the records in order, up to and including one part of the first record that is too large for one
    go. The records after it, and those in `behind`, wait until all its parts are done, because they may belong to
    the same conversation."""
    first = next((n for n, record in enumerate(records) if _is_large(record, now)), len(records))
    made = _distribute(records[:first], now) if first else 0
    if first == len(records):
        return made
    part, is_last = _next_part(records[first])
    made += _distribute_part(part, now, is_last)
    rest = [record.id for record in records[first + is_last :]] + list(behind or ())
    queues.enqueue_distribute(records[first].kind, records[first].shard, rest)
    if behind:
        behind.clear()
    return made


def _is_large(record: Pending, now: datetime) -> bool:
    return record.broadcast_id is None and len(record.accounts) > PART_ACCOUNTS and record.expires_at > now


def _next_part(record: Pending) -> tuple[Pending, bool]:
    """Return the record with the next PART_ACCOUNTS of its accounts, and whether those are the last.

    By the end of a part each of its accounts has a row, and rows are made in the order of the accounts: so the
    newest row shows how far the earlier parts came. The record's lock allows only one part at a time.
    """
    accounts = list(dict.fromkeys(record.accounts))
    done = DeliveryResult.objects.filter(record_id=record.id).order_by("-id").values_list("account_id", flat=True)
    newest = done.first()
    start = 0 if newest is None else accounts.index(newest) + 1
    end = start + PART_ACCOUNTS
    return record._replace(accounts=accounts[start:end]), end >= len(accounts)


def _distribute_part(part: Pending, now: datetime, is_last: bool) -> int:
    """Make one part's rows. Sending begins with the first part, while later parts are still being distributed."""
    newest = DeliveryResult.objects.filter(record_id=part.id).order_by("-id").values_list("id", flat=True).first()
    drafts = _drafts([part], look_up(now))
    store(drafts, [part.id], now, after_id=newest or 0)
    if is_last:
        PushRecord.objects.filter(pk=part.id).update(status=RecordStatus.DISTRIBUTED, distributed_at=now)
    return len(drafts)


def _distribute(records: Sequence[Pending], now: datetime) -> int:
    expired = [record.id for record in records if record.expires_at <= now]
    fresh = [record for record in records if record.expires_at > now]
    drafts = _drafts([record for record in fresh if record.broadcast_id is None], look_up(now))
    store(drafts, [record.id for record in fresh], now)
    for broadcast_id in dict.fromkeys(record.broadcast_id for record in fresh if record.broadcast_id is not None):
        queues.enqueue_expansion(broadcast_id)
    PushRecord.objects.filter(id__among=[record.id for record in fresh]).update(
        status=RecordStatus.DISTRIBUTED, distributed_at=now
    )
    PushRecord.objects.filter(id__among=expired).update(status=RecordStatus.EXPIRED)
    return len(drafts)


def _take(record_ids: Sequence[int]) -> list[Pending]:
    """Return the records that are still pending, locked and ordered by id.

    In a lane that keeps the order of conversations, earlier pending records of the same shard come first, even if
    `record_ids` does not name them: a record whose job was lost (the submitter died before enqueuing it, or Redis
    lost it) would otherwise be overtaken by the conversation's next message.
    """
    asked = _locked(record_ids)
    newest = {(record.kind, record.shard): record.id for record in asked if record.kind in lanes.SHARDED}
    if not newest:
        return asked
    taken = [record for record in asked if record.kind not in lanes.SHARDED]
    for (kind, shard), last in newest.items():
        in_turn = PushRecord.objects.filter(kind=kind, shard=shard, status=RecordStatus.PENDING, id__lte=last)
        ids = in_turn.order_by("created_at", "id").values_list("id", flat=True)[: max(settings.JOB_SIZE, len(asked))]
        taken += _locked(list(ids), in_order=True)
    return sorted(taken, key=lambda record: record.id)


def _locked(record_ids: Sequence[int], *, in_order: bool = False) -> list[Pending]:
    """Return the pending records, locked. Where order counts, wait for a row that another worker has locked;
    elsewhere skip it.

    Rows are selected by primary key, and their status is checked after reading: a locking read that searched by
    status would also lock neighbouring rows of other lanes, which those lanes would then skip.
    """
    records = PushRecord.objects.filter(id__among=record_ids).order_by("id")
    found = (records.select_for_update() if in_order else bulk.locked(records)).values_list("status", *Pending._fields)
    return [Pending(*row) for status, *row in found if status == RecordStatus.PENDING]


def look_up(now: datetime) -> Batch:
    rules = policies()
    zone = ZoneInfo(settings.TIME_ZONE)
    keys = AppKey.objects.filter(is_enabled=True).values_list("app", "platform", "environment", "channel", "id")
    return Batch(
        now=now,
        policies=rules,
        key_ids={key[:4]: key[4] for key in keys},
        decisions={
            number: windows.decide(rule.window_policy, rule.window, now, zone) for number, rule in rules.items()
        },
    )


def _drafts(records: Sequence[Pending], batch: Batch) -> list[Draft]:
    by_app: dict[str, list[Pending]] = defaultdict(list)
    for record in records:
        by_app[record.app].append(record)
    found: list[Draft] = []
    tokens = _only_tokens(records)
    for app, group in by_app.items():
        recipients = _recipients(app, group, batch.policies, directory())
        for record in group:
            for account_id in dict.fromkeys(record.accounts):
                recipient = _with_one_device(recipients[account_id], tokens.get(record.id, ""))
                found.extend(drafts_for(record, recipient, batch))
    return found


def _only_tokens(records: Sequence[Pending]) -> dict[int, str]:
    """Return by record the one device that a resend is for: the account's other devices may have the message."""
    ids = [record.id for record in records if record.source == RESEND_SOURCE]
    return dict(Resend.objects.filter(record_id__in=ids).values_list("record_id", "token")) if ids else {}


def _with_one_device(recipient: Recipient, token: str) -> Recipient:
    if not token:
        return recipient
    return recipient._replace(devices=tuple(device for device in recipient.devices if device.token == token))


def _recipients(
    app: str, records: Iterable[Pending], rules: dict[int, Policy], known: Directory
) -> dict[str, Recipient]:
    """Look up every account that any of the records names, each once."""
    account_ids: dict[str, None] = {}
    ask_presence: dict[str, None] = {}
    for record in records:
        names = dict.fromkeys(record.accounts)
        account_ids.update(names)
        if rules[record.push_type].skips_online:
            ask_presence.update(names)
    found: dict[str, Recipient] = {}
    for chunk in batches.chunks(account_ids, LOOKUP_SIZE):
        facts, devices = known.accounts(chunk), known.devices(chunk, app)
        online = known.online([account_id for account_id in chunk if account_id in ask_presence])
        for account_id in chunk:
            found[account_id] = Recipient(
                account_id, facts.get(account_id), account_id in online, tuple(devices.get(account_id, ()))
            )
    return found


def drafts_for(record: Pending, recipient: Recipient, batch: Batch) -> list[Draft]:
    """Return the deliveries of one recipient: one per device, or a single one for a refused account (except in a
    broadcast)."""
    policy = batch.policies[record.push_type]
    reason = eligibility.verdict(recipient, policy, conversation=record.conversation, sender_id=record.sender_id)
    meant = [d for d in recipient.devices if not record.platform or d.platform == record.platform]
    devices = installations.one_each(meant, partial(has_key, batch.key_ids, record.app))
    if reason is None and not devices:
        reason = Reason.NO_DEVICE
    grace = settings.GRACE_SECONDS.get(record.kind, 0.0) if reason is Reason.ONLINE else 0.0
    if grace and devices:
        return [_waiting_for_the_reader(_device_draft(record, device, batch), batch.now, grace) for device in devices]
    if reason is not None:
        # A broadcast's audience is counted in devices: each device has its row, refused or not.
        refused = devices if record.broadcast_id is not None and devices else [None]
        return [Draft(record, recipient.account_id, one, None, Status.SKIPPED, reason, batch.now) for one in refused]
    return [_device_draft(record, device, batch) for device in devices]


def has_key(key_ids: KeyIds, app: str, device: DeviceTarget) -> bool:
    """Whether the device's channel has an enabled app key."""
    return (app, device.platform, device.environment, device.channel) in key_ids


def _waiting_for_the_reader(draft: Draft, now: datetime, grace_seconds: float) -> Draft:
    """Hold back a chat push while its reader is online and may read the message any moment."""
    if draft.status is not Status.SKIPPED:
        draft.status, draft.reason = Status.HELD, draft.reason or Reason.ONLINE
        draft.due_at = max(draft.due_at, now + timedelta(seconds=grace_seconds))
    return draft


def _device_draft(record: Pending, device: DeviceTarget, batch: Batch) -> Draft:
    """Return the delivery to one eligible device, skipped or held if its app key or the delivery window says so."""
    key_id = batch.key_ids.get((record.app, device.platform, device.environment, device.channel))
    decision = batch.decisions[record.push_type]
    draft = Draft(record, device.account_id, device, key_id, Status.PENDING, None, batch.now)
    if key_id is None:
        draft.status, draft.reason = Status.SKIPPED, Reason.NO_APP_KEY
    elif decision.is_dropped or (decision.hold_until and decision.hold_until >= record.expires_at):
        draft.status, draft.reason = Status.SKIPPED, Reason.OUTSIDE_WINDOW
    else:
        draft.order_key = order_key(record.conversation, device.token)
        if decision.hold_until:
            draft.status, draft.reason, draft.due_at = Status.HELD, Reason.OUTSIDE_WINDOW, decision.hold_until
    return draft


def store(
    found: Sequence[Draft], record_ids: Sequence[int], now: datetime, *, after_id: int = 0, is_urgent: bool = False
) -> None:
    """Coalesce and insert deliveries of `record_ids`. After commit, enqueue the pending ones; urgent ones go to the
    front of their lane. `after_id` excludes rows of the same records that an earlier chunk made.

    One send job holds deliveries of a single app key, so that a slow or paused key does not delay the others.
    Raises redis.RedisError when chat is coalesced and Redis is away.
    """
    if not found:
        return
    replaced = coalescing.apply(found, now)
    bulk.insert_rows(DeliveryResult, rows(found, now), ignore_conflicts=True)
    decided = Counter(
        (d.record.kind, d.status.value, (d.reason or ""), 0) for d in found if d.status is not Status.PENDING
    )
    counters.add(decided + Counter(replaced), now)
    pending = (
        DeliveryResult.objects.filter(record__id__among=record_ids, status=Status.PENDING, id__gt=after_id)
        .order_by("id")
        .values_list("kind", "shard", "app_key_id", "id")
    )
    enqueue_by_key(pending, is_urgent=is_urgent)


def enqueue_by_key(pending: Iterable[tuple[str, int, int | None, int]], *, is_urgent: bool = False) -> None:
    """Enqueue send jobs for (kind, shard, app key id, delivery id) rows, one app key per job. The keys alternate, so
    that all of them are busy from the first jobs on."""
    by_key: dict[tuple[str, int, int | None], list[int]] = defaultdict(list)
    for kind, shard, key_id, delivery_id in pending:
        by_key[kind, shard, key_id].append(delivery_id)
    jobs = [[(key, part) for part in batches.chunks(ids, settings.JOB_SIZE)] for key, ids in by_key.items()]
    for (kind, shard, key_id), delivery_ids in filter(None, chain.from_iterable(zip_longest(*jobs))):
        queues.enqueue_send(kind, shard, delivery_ids, app_key_id=key_id, is_urgent=is_urgent)
