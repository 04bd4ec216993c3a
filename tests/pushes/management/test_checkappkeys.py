from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from pushes.names import App
from tests.make import make_app_key

SECRET = "0123456789abcdef0123456789abcdef"


def run() -> str:
    output = StringIO()
    call_command("checkappkeys", stdout=output)
    return output.getvalue()


@pytest.fixture
def good_key(db, sandbox):
    sandbox.add_key(2100000401, SECRET)
    return make_app_key(access_id=2100000401, secret=SECRET, endpoint_url=sandbox.url)


def test_good_keys_are_listed(good_key):
    head, row = run().splitlines()
    assert head.split() == ["app", "platform", "environment", "provider", "access", "id", "verdict"]
    assert row.split()[:6] == ["higo", "android", "production", "sandbox", "2100000401", "the"]


def test_a_disabled_key_is_marked(good_key):
    good_key.is_enabled = False
    good_key.save()
    assert run().rstrip().endswith("[disabled]")


def test_one_bad_key_fails_the_command_and_the_good_one_is_still_listed(good_key, sandbox, capsys):
    make_app_key(App.HIGIRL, access_id=2100000499, secret=SECRET, endpoint_url=sandbox.url)
    output = StringIO()
    with pytest.raises(CommandError, match=r"1 of 2 app keys were not accepted\.") as caught:
        call_command("checkappkeys", stdout=output)
    assert caught.value.returncode == 1
    assert "the provider accepted these credentials" in output.getvalue()
    assert "refused: check the credentials" in output.getvalue()


def test_no_secret_is_printed(good_key):
    assert SECRET not in run()


def test_without_keys_it_says_how_to_add_one(db):
    assert "There are no app keys" in run()
