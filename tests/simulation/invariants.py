"""What has to be true when a schedule is over, whatever has happened. Rows are compared with the provider's book."""

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from pushes.names import RecordStatus, Status, UnknownPolicy
from tests.simulation import faults
from tests.simulation.database import Database

if TYPE_CHECKING:
    from tests.simulation.world import World

_LIVE = f"'{Status.PENDING}', '{Status.HELD}', '{Status.SENDING}', '{Status.RETRYING}'"
_ROWS = """
    SELECT d.record_id, d.account_id, d.token, d.status, d.reason, d.may_have_arrived, r.conversation
    FROM pushes_deliveryresult d JOIN pushes_pushrecord r ON r.id = d.record_id ORDER BY d.id
"""


class Row(NamedTuple):
    """A delivery at the end."""

    record_id: int
    account_id: str
    token: str
    status: str
    reason: str
    may_have_arrived: int
    conversation: str

    @property
    def target(self) -> tuple[int, str]:
        return self.record_id, self.token


def unfinished(database: Database) -> bool:
    """Whether a push or a delivery is not in a terminal state."""
    live = database.raw(f"SELECT 1 FROM pushes_deliveryresult WHERE status IN ({_LIVE}) LIMIT 1")
    return bool(
        live or database.raw(f"SELECT 1 FROM pushes_pushrecord WHERE status = '{RecordStatus.PENDING}' LIMIT 1")
    )


def all_scanned(world: "World") -> bool:
    """Whether every chat message has become a push."""
    number = world.database.raw("SELECT COUNT(*) FROM pushes_pushrecord")[0][0]
    return bool(len(world.chats) == world.handed_over == number)


def broken(world: "World", *, is_over: bool) -> list[str]:
    """Return the promises that are broken, in words."""
    rows = [Row(*row) for row in world.database.raw(_ROWS)]
    found = [] if is_over else ["ends: it has not come to an end"]
    found += [f"crash: {error}" for error in world.crashes]
    found += _lost(world, rows)
    found += _doubled(world, rows)
    found += _doubted(world, rows)
    return found + _disordered(world, rows)


def _lost(world: "World", rows: list[Row]) -> list[str]:
    """Every message is one push, for every device that it is for, and ends as accepted, as unknown, or refused."""
    records = world.database.raw("SELECT id, dedupe_key, accounts FROM pushes_pushrecord")
    wanted = world.handed_over if world.is_scanned else len(world.messages)
    found = [] if len(records) == wanted else [f"lost: {wanted} messages, {len(records)} pushes"]
    arrived = {(record_id, token) for _, record_id, token in world.network.arrivals}
    made = Counter(row.record_id for row in rows)
    for record_id, _, accounts in records:
        devices = 1 if "2" not in accounts else 3
        if made[record_id] != devices:
            found.append(f"lost: push {record_id} has {made[record_id]} deliveries, {devices} devices")
    for row in rows:
        if row.status == Status.ACCEPTED and row.target not in arrived:
            found.append(f"lost: accepted, and never arrived: {row}")
        is_refused = row.status == Status.FAILED and row.target in world.network.refused
        if row.status not in (Status.ACCEPTED, Status.UNKNOWN) and not is_refused:
            found.append(f"lost: given up: {row}")
    return found


def _doubled(world: "World", rows: list[Row]) -> list[str]:
    """A push arrives once; twice only where its type wants that, the row says so, and the vendor knows no call keys."""
    arrived = Counter((record_id, token) for _, record_id, token in world.network.arrivals)
    may_be = world.policy == UnknownPolicy.RESEND and not world.is_keyed
    return [
        f"doubled: {arrived[row.target]} times: {row}"
        for row in rows
        if arrived[row.target] > 1 and not (may_be and row.may_have_arrived)
    ]


def _doubted(world: "World", rows: list[Row]) -> list[str]:
    """A row that is not accepted, and has arrived, says so; nothing is in doubt without a cause; and what can be asked
    or sent again does not end as unknown."""
    arrived = {(record_id, token) for _, record_id, token in world.network.arrivals}
    has_cause = world.network.has_cut or not faults.DOUBTFUL.isdisjoint(world.faults.struck)
    is_tried_again = world.is_keyed or world.policy == UnknownPolicy.RESEND
    found = []
    for row in rows:
        if row.target in arrived and row.status != Status.ACCEPTED and not row.may_have_arrived:
            found.append(f"doubt not told: {row}")
        if (row.may_have_arrived or row.status == Status.UNKNOWN) and not has_cause:
            found.append(f"doubt without a cause: {row}")
        if row.status == Status.UNKNOWN and is_tried_again:
            found.append(f"unknown, and to be tried again: {row}")
    return found


def _disordered(world: "World", rows: list[Row]) -> list[str]:
    """In a conversation, pushes arrive at a device in the order of their messages, as far as none is in doubt."""
    chats = {row.target: row.conversation for row in rows if row.conversation and not row.may_have_arrived}
    came: dict[tuple[str, str], list[int]] = defaultdict(list)
    for _, record_id, token in sorted(world.network.arrivals):
        if (record_id, token) in chats:
            came[chats[record_id, token], token].append(record_id)
    return [f"disorder: {target}: {ids}" for target, ids in sorted(came.items()) if ids != sorted(ids)]
