"""Read the answers of Huawei Push Kit, which v1 (Android) and v3 (HarmonyOS) share."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pushes.names import Reason
from pushes.providers import answers, huawei_codes
from pushes.providers.base import Answer, HttpResponse
from pushes.text import exact_json
from pushes.values import Outcome, Verdict

#: Codes are text of so many digits.
CODE_LENGTH = 8
#: Where v1 has the tokens that a list left out.
ILLEGAL_TOKENS = "illegal_tokens"
#: Huawei itself (and no proxy before it) answers so when more is sent than was agreed upon.
TOO_MANY = 503


def read(answer: Answer) -> Outcome:
    """Return the outcome of an answer to a push. Huawei's own code counts, except beside a server's error."""
    fields = answers.fields_of(answer)
    code = _code(fields.get("code"))
    if not isinstance(answer, HttpResponse) or not code or answer.status >= 500:
        return _by_status(answer, code)
    said = fields.get("msg", "")
    named = _named_tokens(said)
    meaning = huawei_codes.meaning(code, " ".join(named) or str(said)[: 10 * answers.MAX_TEXT])
    is_accepted = meaning.verdict is Verdict.ACCEPTED
    if is_accepted and answer.status >= 300:
        return _by_status(answer, code)
    # Only counts: whoever reads the log may not see tokens.
    counts = ", ".join(f"{name}: {len(tokens)}" for name, tokens in named.items())
    text = counts or ("" if is_accepted else answers.shorten(said))
    outcome = meaning.outcome(answer.status, code, text)
    if is_accepted and named:
        outcome = _left_out(outcome, named)
    return replace(outcome, is_token_stale=code in huawei_codes.STALE)


def _by_status(answer: Answer, code: str) -> Outcome:
    said = answers.parse(answer, words=("msg",))
    if not isinstance(said, Outcome):
        return answers.unreadable(said.http_status, "the answer has no code")
    reason = Reason.THROTTLED if said.http_status == TOO_MANY and answers.fields_of(answer) else said.reason
    return replace(said, code=code, reason=reason)


def _code(value: object) -> str:
    """Return a code; "" for anything but eight digits."""
    text = value if isinstance(value, str) else ""
    return text if len(text) == CODE_LENGTH and text.isascii() and text.isdigit() else ""


def _left_out(outcome: Outcome, named: Mapping[str, list[str]]) -> Outcome:
    """Return the outcome of a list that was taken but for the named tokens."""
    dead = dict.fromkeys([*named.get(ILLEGAL_TOKENS, ()), *named.get(huawei_codes.TOKEN_FAULT, ())])
    unsent = dict.fromkeys(token for tokens in named.values() for token in tokens if token not in dead)
    return replace(outcome, bad_tokens=tuple(dead), unsent_tokens=tuple(unsent))


def _named_tokens(said: object) -> dict[str, list[str]]:
    """Return the tokens that a message names, by what is wrong with them. Such a message is itself JSON: in v1 with one
    list, in v3 with one for each cause, whose place is not documented, so it is looked for one level deep, too."""
    found = _object(said)
    named: dict[str, list[str]] = {}
    for part in (found, *(value for value in found.values() if isinstance(value, dict))):
        for name in (ILLEGAL_TOKENS, *huawei_codes.CAUSES):
            tokens = part.get(name)
            if isinstance(tokens, list):
                named.setdefault(name, []).extend(token for token in tokens if isinstance(token, str))
    return named


def _object(said: object) -> Mapping[str, Any]:
    if isinstance(said, str) and said.lstrip().startswith("{"):
        try:
            said = exact_json.loads(said.encode(errors="replace"))
        except exact_json.JsonError:
            return {}
    return said if isinstance(said, dict) else {}
