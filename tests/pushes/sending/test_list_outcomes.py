"""What the answer to a list means for each of its tokens."""

from pushes.names import ProviderKind, Reason
from pushes.providers.registry import provider
from pushes.sending import list_outcomes
from pushes.values import Outcome, Scope, Verdict

LIST = Outcome(Verdict.ACCEPTED, code="80100000", bad_tokens=("dead",), unsent_tokens=("elsewhere",))


def test_a_token_that_was_left_out_as_dead_is_a_bad_target():
    found = list_outcomes.of_token("dead", LIST)
    assert (found.verdict, found.reason, found.scope) == (Verdict.BAD_TARGET, Reason.BAD_TOKEN, Scope.TARGET)


def test_a_token_that_was_left_out_for_no_fault_of_its_own_was_not_pushed_to_either():
    """To call it accepted would be a lie; to call it dead would deactivate a living phone."""
    found = list_outcomes.of_token("elsewhere", LIST)
    assert (found.verdict, found.reason, found.scope) == (Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.TARGET)


def test_every_other_token_of_the_list_is_accepted():
    assert list_outcomes.of_token("alive", LIST) == LIST


def test_a_list_whose_dead_tokens_are_dropped_silently_vouches_for_none():
    assert not list_outcomes.weighed(provider(ProviderKind.JPUSH), Outcome(Verdict.ACCEPTED)).vouches
    assert list_outcomes.weighed(provider(ProviderKind.HUAWEI_V1), LIST).vouches


def test_a_list_of_dead_tokens_alone_is_asked_one_by_one():
    nobody = Outcome(Verdict.BAD_TARGET, Reason.BAD_TOKEN, code="1011")
    assert list_outcomes.is_refused_whole(provider(ProviderKind.JPUSH), nobody)
