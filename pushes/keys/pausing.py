"""A key stops sending, for as long as an operator or its old secret leaves it so, and goes on."""

import logging
from datetime import datetime

from pushes.keys import belief, gate, rotation
from pushes.models import AppKey, DeliveryResult
from pushes.names import Reason, Status
from pushes.storage import clocks
from pushes.values import Blame, Outcome

log = logging.getLogger(__name__)


#: Why pushes wait for their key, and for nothing of their own.
WAITING_FOR_KEY = (
    Reason.KEY_PAUSED,
    Reason.BAD_CREDENTIALS,
    Reason.THROTTLED,
    Reason.TOKENS_DOUBTED,
    Reason.ENDPOINT_REFUSED,
)


def pause_key(key: AppKey, reason: str, code: str = "", *, doubted_since: datetime | None = None) -> bool:
    """Stop sending under this key until an operator resumes it. Its pushes wait; they do not burn. Returns whether
    it was this call that paused it. `doubted_since` is when the spell began in which its tokens were refused.

    A key whose credentials have been changed since `key` was read is left alone: what is wrong with the old
    ones says nothing about those that it has now.
    """
    as_read = {name: getattr(key, name) for name in ("access_id", "secret_encrypted", "endpoint_url", "revision")}
    spell = {"doubted_since": doubted_since, "doubted_until": clocks.now()} if doubted_since else {}
    paused = AppKey.objects.filter(pk=key.pk, paused_at__isnull=True, **as_read).update(
        paused_at=clocks.now(), paused_reason=reason[:200] or "refused by the provider", paused_code=code, **spell
    )
    if paused:
        log.error("app key %s paused: %s", key, reason)
    return bool(paused)


def answer_refusal(key: AppKey, outcome: Outcome) -> None:
    """The provider refused the key's credentials: go back to the old secret while one is kept, else pause.

    Both concern only the credentials that were refused: of several workers one acts, and one that still had
    former credentials does nothing. Whichever it is, the refused pushes are due again at once.
    """
    words = " ".join(str(part) for part in (outcome.code, outcome.text) if part not in (None, ""))
    if outcome.blame is Blame.CREDENTIALS and rotation.fall_back(key, words):
        log.error("app key %s: its new secret was refused, sending goes back to the old one: %s", key, words)
        return
    pause_key(key, words)


def resume_key(key: AppKey) -> None:
    """Let a paused key send again; what waited goes out with the sweeper's next round. Raises
    redis.RedisError when the breaker could not be reset; the key is resumed all the same."""
    AppKey.objects.filter(pk=key.pk).update(paused_at=None, paused_reason="", paused_code="")
    belief.forget(key.pk)
    waiting = DeliveryResult.objects.filter(app_key_id=key.pk, status=Status.RETRYING, reason__in=WAITING_FOR_KEY)
    waiting.filter(due_at__gt=clocks.now()).update(due_at=clocks.now())
    gate.forget(key.pk)
