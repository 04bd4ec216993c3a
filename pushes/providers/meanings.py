"""What an answer can mean for the caller: the rows that every provider's table of codes is made of."""

from typing import NamedTuple

from pushes.names import Reason
from pushes.values import Blame, Outcome, Scope, Verdict


class Meaning(NamedTuple):
    """What the caller does next, and why. `blame` is named by a refusal of the key alone."""

    verdict: Verdict
    reason: Reason | None
    scope: Scope
    blame: Blame | None = None

    def outcome(
        self, http_status: int, code: str, text: str, push_id: str = "", bad_tokens: tuple[str, ...] = ()
    ) -> Outcome:
        """The outcome of a call whose answer means this."""
        return Outcome(
            self.verdict,
            self.reason,
            self.scope,
            code,
            text,
            push_id,
            bad_tokens=bad_tokens,
            http_status=http_status,
            blame=self.blame,
        )


ACCEPTED = Meaning(Verdict.ACCEPTED, None, Scope.TARGET)

BAD_TOKEN = Meaning(Verdict.BAD_TARGET, Reason.BAD_TOKEN, Scope.TARGET)
NO_DEVICE = Meaning(Verdict.FAILED, Reason.NO_DEVICE, Scope.TARGET)
TRY_AGAIN = Meaning(Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.TARGET)
NO_ANSWER = Meaning(Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET)
SERVER_ERROR = Meaning(Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET)

BAD_MESSAGE = Meaning(Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE)

THROTTLED = Meaning(Verdict.RETRY, Reason.THROTTLED, Scope.KEY)
BUSY = Meaning(Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.KEY)
BAD_CREDENTIALS = Meaning(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, Blame.CREDENTIALS)
WRONG_CLOCK = BAD_CREDENTIALS._replace(blame=Blame.CLOCK)
BAD_CERTIFICATE = BAD_CREDENTIALS._replace(blame=Blame.CERTIFICATE)
APP_CLOSED = BAD_CREDENTIALS._replace(blame=Blame.APP)
NOT_THE_ENDPOINT = BAD_CREDENTIALS._replace(blame=Blame.ENDPOINT)
