import pytest
from django.core.management import CommandError, call_command

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
    with pytest.raises(CommandError, match="there is a token of this name already"):
        call_command("issuetoken", "backend", "--scope", "push")


@pytest.mark.parametrize("name", ["", "  ", "x" * 65])
def test_a_name_has_a_length(name: str):
    with pytest.raises(CommandError, match="1 to 64 characters"):
        call_command("issuetoken", name, "--scope", "push")


def test_an_unknown_scope_is_refused():
    with pytest.raises(CommandError, match="everything"):
        call_command("issuetoken", "backend", "--scope", "everything")
