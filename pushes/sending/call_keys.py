"""The idempotency keys of provider calls, for providers that push once however often a call is made.

A key is made before the call and written on all its rows by `claims.begin`. While the fate of the call is open (its
answer was lost, or the sender died), the rows wait with their key. Then the same call is made again for all of them
that are still wanted: the provider repeats its answer, or pushes now if the first call never reached it.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from django.conf import settings

from pushes.ledger import claims
from pushes.ledger.claims import Claimed
from pushes.names import Reason, Status, UnknownPolicy
from pushes.sending import recheck
from pushes.sending.calls import Call, KeyWork
from pushes.sending.recheck import Change
from pushes.storage import clocks

#: For how long rows wait when another worker holds the rest of their call. It gives way, too: whoever comes back first
#: claims all of them.
GIVE_WAY_SECONDS = (1.0, 5.0)


def whole_calls(work: KeyWork, rows: Sequence[Claimed]) -> list[Claimed]:
    """Return the claimed rows, with all others that share an open call with them; put back those whose call is partly
    under another claim."""
    now = clocks.now()
    every, apart = claims.claim_whole_calls(rows, work.claim, now=now, lease_seconds=settings.LEASE_SECONDS)
    if not apart:
        return every
    due_at = now + timedelta(seconds=random.uniform(*GIVE_WAY_SECONDS))
    claims.release([row.id for row in apart], work.claim, due_at=due_at, reason=Reason.CUT_OFF)
    gone = {row.id for row in apart}
    return [row for row in every if row.id not in gone]


def without_forgotten(work: KeyWork, rows: Sequence[Claimed], claim: recheck.Claim) -> list[Claimed]:
    """Return the rows to be sent, now that the provider has forgotten the calls of some: these end as unknown, or begin
    anew, as their push type's policy wants it."""
    at = int(claim.now.timestamp())
    forgotten = {
        row.id: work.policies[row.push_type].unknown_policy == UnknownPolicy.RESEND
        for row in rows
        if row.call_key and not work.provider.knows_call(row.call_key, work.credentials, now=at)
    }
    if not forgotten:
        return list(rows)
    again = {pk for pk, is_resent in forgotten.items() if is_resent}
    if again:
        claims.forget_calls(sorted(again), claim.token)
    unknown = Change(Status.UNKNOWN, Reason.NO_ANSWER)
    left = recheck.apart_from({pk: unknown for pk in forgotten if pk not in again}, rows, claim)
    return [row._replace(call_key="") if row.id in again else row for row in left]


def named(work: KeyWork, calls: Sequence[Call]) -> dict[str, list[int]]:
    """Give each call that has no key yet a key, for a provider that takes keys. Returns the rows of each key."""
    if not work.provider.is_idempotent:
        return {}
    now = int(clocks.now().timestamp())
    keys: dict[str, list[int]] = {}
    for call in calls:
        key = call.rows[0].call_key if call.is_made_again else work.provider.new_call_key(work.credentials, now=now)
        if not call.is_made_again:
            call.rows = [row._replace(new_call_key=key) for row in call.rows]
        call.message = replace(call.message, call_key=key)
        keys[key] = [row.id for row in call.rows]
    return keys


def begun(work: KeyWork, call: Call, ids: set[int]) -> list[Claimed]:
    """Return the rows of a call that were begun. A call is made again for all of its rows or not at all: when some were
    lost, the others wait until it is known who is left."""
    rows = [row for row in call.rows if row.id in ids]
    if not call.is_made_again or len(rows) == len(call.rows):
        return rows
    wait = partial(claims.release, due_at=clocks.now(), reason=Reason.CUT_OFF, is_begun=True, is_call_open=True)
    wait([row.id for row in rows], work.claim)
    return []
