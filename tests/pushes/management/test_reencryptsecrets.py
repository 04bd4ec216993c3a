from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from pytest_django import Settings

from pushes.keys import rotation
from pushes.models import AppKey
from pushes.names import Platform
from tests.make import make_app_key, make_secret

pytestmark = pytest.mark.django_db


def new_key() -> str:
    return Fernet.generate_key().decode()


def run() -> str:
    output = StringIO()
    call_command("reencryptsecrets", stdout=output)
    return output.getvalue()


def test_the_old_encryption_key_can_go_after_it(settings: Settings):
    old, new = new_key(), new_key()
    settings.ENCRYPTION_KEYS = [old]
    first, second = make_secret(), make_secret()
    key = make_app_key(secret=first)
    rotation.rotate(key, second)
    settings.ENCRYPTION_KEYS = [new, old]
    assert run() == "2 secrets are encrypted with the newest key.\n"
    settings.ENCRYPTION_KEYS = [new]
    found = AppKey.objects.get()
    assert (found.credentials().secret, found.old_credentials().secret) == (second, first)


def test_it_changes_no_credentials(settings: Settings):
    key = make_app_key()
    run()
    assert AppKey.objects.get().revision == key.revision


def test_a_secret_that_cannot_be_read_is_named_and_the_others_are_done(settings: Settings):
    lost = make_app_key()
    fresh, secret = new_key(), make_secret()
    settings.ENCRYPTION_KEYS = [fresh]
    make_app_key(platform=Platform.IOS, secret=secret)
    output = StringIO()
    with pytest.raises(CommandError, match="1 secrets could not be read"):
        call_command("reencryptsecrets", stdout=output)
    assert f"app key {lost.pk} secret_encrypted" in output.getvalue()
    assert "1 secrets are encrypted with the newest key." in output.getvalue()
    assert secret not in output.getvalue()


def test_without_secrets_there_is_nothing_to_do():
    assert run() == "0 secrets are encrypted with the newest key.\n"
