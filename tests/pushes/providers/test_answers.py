from datetime import datetime, timezone
from email.utils import format_datetime

import pytest

from pushes.names import Reason
from pushes.providers import meanings
from pushes.providers.answers import Said, of_exchange, parse, push_id_of, refused, retry_after, shorten, word_of
from pushes.providers.base import HttpResponse, TransportFailure
from pushes.values import Blame, Outcome, Scope, Verdict


def outcome_of(answer) -> Outcome:
    parsed = parse(answer)
    assert isinstance(parsed, Outcome)
    return parsed


def test_a_json_object_is_handed_on():
    assert parse(HttpResponse(200, b'{"ret_code":0}')) == Said(200, {"ret_code": 0})


def test_what_never_left_is_tried_again_and_counts_against_the_key():
    outcome = outcome_of(TransportFailure(was_sent=False, text="refused"))
    assert (outcome.verdict, outcome.reason, outcome.scope) == (Verdict.RETRY, Reason.UNREACHABLE, Scope.KEY)


def test_what_left_without_an_answer_is_unknown():
    outcome = outcome_of(TransportFailure(was_sent=True, text="timed out"))
    assert (outcome.verdict, outcome.reason, outcome.text) == (Verdict.UNKNOWN, Reason.NO_ANSWER, "timed out")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"ok"', b"\xff\xfe", b'{"ret_code":0'])
def test_a_200_that_says_nothing_readable_is_unknown(body):
    assert outcome_of(HttpResponse(200, body)).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("status", "verdict", "reason", "scope"),
    [
        (302, Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
        (400, Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE),
        (401, Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
        (403, Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
        (404, Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
        (408, Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.TARGET),
        (413, Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE),
        (429, Verdict.RETRY, Reason.THROTTLED, Scope.KEY),
        (500, Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
        (502, Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
        (503, Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.KEY),
        (504, Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
        (599, Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
    ],
)
def test_each_status_has_its_meaning(status, verdict, reason, scope):
    outcome = outcome_of(HttpResponse(status, b"<html>"))
    assert (outcome.verdict, outcome.reason, outcome.scope) == (verdict, reason, scope)
    assert (outcome.http_status, outcome.code) == (status, "")


@pytest.mark.parametrize(
    ("status", "blame"),
    [
        *((status, Blame.CREDENTIALS) for status in (401, 403)),
        *((status, Blame.ENDPOINT) for status in (301, 302, 404, 405, 410)),
        *((status, None) for status in (400, 408, 413, 429, 500, 503)),
    ],
)
def test_a_status_tells_whether_the_key_or_its_endpoint_is_to_blame(status, blame):
    assert outcome_of(HttpResponse(status, b"")).blame is blame


@pytest.mark.parametrize("status", [429, 503])
def test_the_pause_that_the_provider_wants_is_handed_on(status):
    assert outcome_of(HttpResponse(status, b"", {"retry-after": "7"})).retry_after_seconds == 7.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("", None), ("soon", None), ("-5", None), ("²", None), ("0", 0.0), ("120", 120.0), ("999999", 3600.0)],
)
def test_seconds_to_wait(value, seconds):
    assert retry_after({"retry-after": value}) == seconds


def test_a_date_to_wait_for():
    date = format_datetime(datetime.fromtimestamp(1_700_000_090, timezone.utc), usegmt=True)
    assert retry_after({"retry-after": date}, now=1_700_000_000) == 90.0


def test_a_date_in_the_past_means_at_once():
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0


def test_without_the_header_there_is_no_wish():
    assert retry_after({}) is None


def test_long_words_of_the_provider_are_shortened():
    assert len(outcome_of(TransportFailure(was_sent=True, text="x" * 1000)).text) == 200


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("token invalid", "token invalid"),
        ("<html><head><title>502</title></head><body>Bad Gateway</body>", "502 Bad Gateway"),
        ("<script src=//evil.test>", ""),
        ("length <= 4096 and 3 > 2", "length <= 4096 and 3 > 2"),
        ("a\r\nb\tc\0d\x1b[31me", "a b c d [31me"),
        ("\u202egnp.exe\u200b\ufeff\u2066x", "gnp.exe x"),
        ("签名错误", "签名错误"),
        (None, "None"),
        ({"a": 1}, "{'a': 1}"),
        ("x" * 100_000, "x" * 199 + "…"),
    ],
)
def test_a_servers_words_become_one_short_line(said, shown):
    assert shorten(said) == shown


@pytest.mark.parametrize(
    ("given", "kept"),
    [(2854657652, "2854657652"), ("a-1_b.c", "a-1_b.c"), ("<b>1</b>", ""), ("1\n2", ""), ("id 1", ""), ("推送", "")],
)
def test_a_push_id_holds_no_words(given, kept):
    assert push_id_of(given) == kept


@pytest.mark.parametrize("code", ["BadDeviceToken", "invalid_grant", "x" * 40])
def test_a_code_is_one_short_word(code):
    assert word_of(code) == code


@pytest.mark.parametrize("other", ["x" * 41, "", "a b", "<b>", "7up", "令牌", None, 7, [], {"a": 1}])
def test_anything_else_is_no_code(other):
    assert word_of(other) == ""


def test_a_refusal_is_as_the_code_means_it_and_without_one_as_the_status_does():
    answer = HttpResponse(429, b"", {"retry-after": "7"})
    known = refused(answer, "words", "SomeCode", meanings.BAD_TOKEN)
    assert (known.verdict, known.code, known.text, known.http_status) == (
        *(Verdict.BAD_TARGET, "SomeCode"),
        *("words", 429),
    )
    unknown = refused(answer, "words", "SomeCode")
    assert (unknown.verdict, unknown.code, unknown.text) == (
        *(Verdict.RETRY, "SomeCode"),
        "HTTP 429 Too Many Requests: words",
    )
    assert known.retry_after_seconds == unknown.retry_after_seconds == 7


@pytest.mark.parametrize(
    ("meaning", "verdict", "reason", "blame"),
    [
        (meanings.NO_ANSWER, Verdict.RETRY, Reason.PROVIDER_BUSY, None),
        (meanings.SERVER_ERROR, Verdict.RETRY, Reason.PROVIDER_BUSY, None),
        (meanings.ACCEPTED, Verdict.RETRY, Reason.PROVIDER_BUSY, None),
        (meanings.BAD_TOKEN, Verdict.RETRY, Reason.PROVIDER_BUSY, None),
        (meanings.TRY_AGAIN, Verdict.RETRY, Reason.PROVIDER_BUSY, None),
        (meanings.THROTTLED, Verdict.RETRY, Reason.THROTTLED, None),
        (meanings.BAD_MESSAGE, Verdict.FAILED, Reason.BAD_CREDENTIALS, Blame.CREDENTIALS),
        (meanings.BAD_CREDENTIALS, Verdict.FAILED, Reason.BAD_CREDENTIALS, Blame.CREDENTIALS),
        (meanings.WRONG_CLOCK, Verdict.FAILED, Reason.BAD_CREDENTIALS, Blame.CLOCK),
        (meanings.NOT_THE_ENDPOINT, Verdict.FAILED, Reason.BAD_CREDENTIALS, Blame.ENDPOINT),
    ],
)
def test_asking_for_an_access_token_in_vain_concerns_the_key_alone(meaning, verdict, reason, blame):
    found = of_exchange(meaning.outcome(400, "code", "words"))
    assert (found.verdict, found.reason, found.scope, found.blame) == (verdict, reason, Scope.KEY, blame)
    assert (found.code, found.text) == ("code", "words")
