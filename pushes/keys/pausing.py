"""Pause and resume app keys, and fall back to the old secret after a refusal."""

import logging
from datetime import datetime

from pushes.keys import belief, gate, rotation
from pushes.models import AppKey, DeliveryResult
from pushes.names import PauseCode, Reason, Status
from pushes.storage import clocks
from pushes.text import notes
from pushes.text.notes import Note, said
from pushes.text.sentences import Sentence
from pushes.values import Blame, Outcome

log = logging.getLogger(__name__)


#: Reasons of pushes that wait only for their key.
WAITING_FOR_KEY = (
    Reason.KEY_PAUSED,
    Reason.BAD_CREDENTIALS,
    Reason.THROTTLED,
    Reason.TOKENS_DOUBTED,
    Reason.ENDPOINT_REFUSED,
)


def pause_key(key: AppKey, reason: Note, code: str = "", *, doubted_since: datetime | None = None) -> bool:
    """Stop sending under this key until an operator resumes it. Its pushes wait and keep their attempts. Returns
    whether this call paused the key. `doubted_since` is the start of the period in which its tokens were refused.

    A key whose credentials have changed since `key` was read is not paused: a fault of the old credentials says nothing
    about the new ones.
    """
    kept = notes.stored(reason or Note(Sentence.REFUSED_BY_PROVIDER), most=200)
    own_id = "access_number" if key.access_number else "access_id"
    as_read = {name: getattr(key, name) for name in (own_id, "secret_encrypted", "endpoint_url", "revision")}
    spell = {"doubted_since": doubted_since, "doubted_until": clocks.now()} if doubted_since else {}
    paused = AppKey.objects.filter(pk=key.pk, paused_at__isnull=True, **as_read).update(
        paused_at=clocks.now(), paused_reason=kept, paused_code=code, **spell
    )
    if paused:
        log.error("app key %s paused: %s", key, reason)
    return bool(paused)


def pause_for_doubt(key: AppKey, since: datetime) -> bool:
    """Pause a key under which nearly every token has been refused since then. Returns whether this call paused it."""
    return pause_key(key, Note(Sentence.TOKENS_DOUBTED), PauseCode.TOKENS_DOUBTED, doubted_since=since)


def answer_refusal(key: AppKey, outcome: Outcome) -> None:
    """Handle refused credentials: fall back to the old secret while one is kept, otherwise pause the key.

    This concerns only the refused credentials: of several workers one acts, and a worker with former credentials does
    nothing. In either case the refused pushes are due again at once.
    """
    words = said(" ".join(filter(None, (outcome.code, outcome.text))))
    if outcome.blame is Blame.CREDENTIALS and rotation.fall_back(key, words):
        log.error("app key %s: the new secret was refused; falling back to the old one: %s", key, words)
        return
    pause_key(key, words)


def resume_key(key: AppKey) -> None:
    """Let a paused key send again; waiting pushes are sent with the sweeper's next round. Raises redis.RedisError when
    the breaker could not be reset; the key is resumed all the same."""
    AppKey.objects.filter(pk=key.pk).update(paused_at=None, paused_reason="", paused_code="")
    belief.forget(key.pk)
    waiting = DeliveryResult.objects.filter(app_key_id=key.pk, status=Status.RETRYING, reason__in=WAITING_FOR_KEY)
    waiting.filter(due_at__gt=clocks.now()).update(due_at=clocks.now())
    gate.forget(key.pk)
