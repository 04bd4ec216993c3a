"""A delivery log of any length, made inside MariaDB: rows as a shop with chats would have after 90 days.

The shares are those of a busy shop: seven of ten accepted, a quarter skipped, one in a hundred failed, and a few
states that are as rare as operators' questions about them (unknown: 1 in 100,000; two app keys of eight hardly used).
"""

from typing import Any

PIECE = 500_000
DELIVERIES_PER_RECORD = 4
ACCOUNTS = 1_000_000
CONVERSATIONS = 200_000
DAYS = 90
TABLE = "pushes_deliveryresult"
#: InnoDB sorts a whole index many times faster than it keeps seven of them while rows come in.
INDEXES = {
    "delivery_account": "account_id",
    "delivery_token": "token",
    "delivery_status_due": "status, due_at",
    "delivery_created": "created_at",
    "delivery_order": "order_key",
    "delivery_record": "record_id",
    "delivery_push_id": "provider_push_id",
}
UNIQUE = ("one_delivery_per_target", "record_id, account_id, token")

#: Of a row's number: spread evenly, and the same in every run.
MIX = "(CRC32(CONCAT('m', n)) % 100000)"
AT = f"TIMESTAMPADD(SECOND, -FLOOR(({{rows}} - n) * {DAYS * 86_400} / {{rows}}), UTC_TIMESTAMP(6))"
KIND = "ELT(1 + (CRC32(CONCAT('k', {record})) % 4), 'system', 'group', 'private', 'broadcast')"

RECORDS = f"""
INSERT INTO pushes_pushrecord (id, dedupe_key, kind, push_type, app, platform, source, message_id, accounts, title,
    text, data, conversation, sender_id, shard, status, occurred_at, created_at, distributed_at, expires_at)
SELECT n, MD5(n), {KIND.format(record="n")}, ELT(1 + (n % 4), 5, 8, 15, 1), 'higo', '', 'bench', CONCAT('order-', n),
    CONCAT('["u', n % {ACCOUNTS}, '"]'), '新订单', CONCAT('您有一个新的订单 ', n, '，请及时处理'), '{{{{}}}}',
    CONCAT('group:', n % {CONVERSATIONS}), '', 0, 'distributed', {{at}}, {{at}}, {{at}}, {{at}}
FROM (SELECT seq AS n FROM seq_{{first}}_to_{{last}}) AS numbers
"""
DELIVERIES = f"""
INSERT INTO {TABLE} (id, record_id, kind, push_type, shard, app, platform, environment, account_id, device_id, token,
    app_key_id, status, reason, due_at, expires_at, attempts, provider_code, provider_push_id, created_at, sent_at,
    finished_at)
SELECT n, record, {KIND.format(record="record")}, ELT(1 + (record % 4), 5, 8, 15, 1), 0, 'higo', 'android',
    'production', CONCAT('u', CRC32(n) % {ACCOUNTS}), n, SHA1(CRC32(n) % {ACCOUNTS}),
    IF(mix < 5, 8, IF(mix < 10, 7, 1 + mix % 6)),
    CASE WHEN mix < 70000 THEN 'accepted' WHEN mix < 98900 THEN 'skipped' WHEN mix < 99989 THEN 'failed'
        WHEN mix < 99998 THEN 'expired' WHEN mix = 99998 THEN 'cancelled' ELSE 'unknown' END,
    CASE WHEN mix < 70000 THEN '' WHEN mix < 85000 THEN 'online' WHEN mix < 93000 THEN 'do_not_disturb'
        WHEN mix < 98880 THEN 'logged_out' WHEN mix < 98900 THEN 'muted' WHEN mix < 99900 THEN 'bad_token'
        WHEN mix < 99989 THEN 'too_many_attempts' WHEN mix < 99998 THEN 'too_late' WHEN mix = 99998 THEN 'cancelled'
        ELSE 'no_answer' END,
    at, at, 1, '0', IF(mix < 70000, CONCAT('9', n), ''), at, at, at
FROM (
    SELECT seq AS n, 1 + (seq - 1) DIV {DELIVERIES_PER_RECORD} AS record,
           {MIX.replace("n)", "seq)")} AS mix, {{at}} AS at
    FROM seq_{{first}}_to_{{last}}) AS numbers
"""


def load(cursor: Any, rows: int, say: Any = print) -> None:
    """Fill the empty log with `rows` deliveries and their pushes, going on where an earlier call was cut off."""
    cursor.execute("SET SESSION unique_checks = 0, foreign_key_checks = 0")
    at = AT.format(rows=rows)
    records = rows // DELIVERIES_PER_RECORD
    _fill(cursor, "pushes_pushrecord", RECORDS, records, at.replace("{rows}", str(rows)), rows // records, say)
    _drop_indexes(cursor)
    _fill(cursor, TABLE, DELIVERIES, rows, at, 1, say)
    for name, columns in INDEXES.items():
        _index(cursor, name, f"ADD INDEX {name} ({columns})", say)
    _index(cursor, UNIQUE[0], f"ADD UNIQUE INDEX {UNIQUE[0]} ({UNIQUE[1]})", say)
    cursor.execute(f"ANALYZE TABLE {TABLE}, pushes_pushrecord")


def _fill(cursor: Any, table: str, statement: str, rows: int, at: str, step: int, say: Any) -> None:
    cursor.execute(f"SELECT COALESCE(MAX(id), 0) FROM {table}")
    done = int(cursor.fetchone()[0])
    while done < rows:
        last = min(done + PIECE, rows)
        # A record is as old as its first delivery, whose number is `step` times its own.
        name = "n" if table == "pushes_pushrecord" else "seq"
        moment = at.replace("- n)", f"- {name} * {step})")
        cursor.execute(statement.format(at=moment, first=done + 1, last=last))
        cursor.execute("COMMIT")
        done = last
        say(f"{table}: {done:,} of {rows:,} rows")


def _drop_indexes(cursor: Any) -> None:
    cursor.execute(f"SELECT COUNT(*) FROM (SELECT 1 FROM {TABLE} LIMIT 1) AS any_row")
    if not cursor.fetchone()[0]:
        present = _present(cursor)
        parts = [f"DROP INDEX {name}" for name in (*INDEXES, UNIQUE[0]) if name in present]
        if parts:
            cursor.execute(f"ALTER TABLE {TABLE} {', '.join(parts)}")


def _index(cursor: Any, name: str, part: str, say: Any) -> None:
    if name not in _present(cursor):
        cursor.execute(f"ALTER TABLE {TABLE} {part}")
        say(f"index {name}")


def _present(cursor: Any) -> set[str]:
    cursor.execute(f"SHOW INDEX FROM {TABLE}")
    return {str(row[2]) for row in cursor.fetchall()}
