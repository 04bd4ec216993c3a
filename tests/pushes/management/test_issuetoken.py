from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from pushes.models import ApiToken

pytestmark = pytest.mark.django_db


def test_the_clear_token_is_printed_and_only_its_digest_kept(capsys: pytest.CaptureFixture[str]):
    call_command("issuetoken", "backend", "--scope", "push", "--scope", "read")
    clear = capsys.readouterr().out.strip()
    token = ApiToken.objects.get()
    assert token.digest == ApiToken.digest_of(clear)
    assert (token.name, token.scopes) == ("backend", ["push", "read"])
    assert clear not in str(vars(token))


def test_a_name_is_used_once():
    call_command("issuetoken", "backend", "--scope", "push")
    with pytest.raises(CommandError, match="a token with this name already exists"):
        call_command("issuetoken", "backend", "--scope", "push")


@pytest.mark.parametrize("name", ["", "  ", "x" * 65])
def test_a_name_has_a_length(name: str):
    with pytest.raises(CommandError, match="1 to 64 characters"):
        call_command("issuetoken", name, "--scope", "push")


def test_an_unknown_scope_is_refused():
    with pytest.raises(CommandError, match="everything"):
        call_command("issuetoken", "backend", "--scope", "everything")


def test_it_can_end(capsys: pytest.CaptureFixture[str]):
    before = timezone.now()
    call_command("issuetoken", "backend", "--scope", "push", "--days", "90")
    token = ApiToken.objects.get()
    assert token.expires_at is not None
    assert timedelta(days=90) <= token.expires_at - before < timedelta(days=90, minutes=1)


@pytest.mark.parametrize("days", ["0", "-1", "3651", "99999999"])
def test_a_number_of_days_that_cannot_be_is_named(days: str):
    with pytest.raises(CommandError, match=f"--days={days}: it must lie between 1 and 3650"):
        call_command("issuetoken", "backend", "--scope", "push", "--days", days)
    assert not ApiToken.objects.exists()
