import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from pushes import vault
from pushes.names import App, Platform
from tests.make import make_app_key

SECRET = "0123456789abcdef0123456789abcdef"


def new_key() -> str:
    return Fernet.generate_key().decode()


def test_a_secret_comes_back_as_it_was():
    assert vault.decrypt(vault.encrypt(SECRET)) == SECRET


def test_what_is_stored_shows_nothing_of_the_secret():
    assert SECRET not in vault.encrypt(SECRET)
    assert vault.encrypt(SECRET) != vault.encrypt(SECRET)


def test_a_secret_under_an_older_key_is_still_readable(settings: Settings):
    old = new_key()
    settings.ENCRYPTION_KEYS = [old]
    stored = vault.encrypt(SECRET)
    settings.ENCRYPTION_KEYS = [new_key(), old]
    assert vault.decrypt(stored) == SECRET


def test_reencrypting_makes_the_older_key_dispensable(settings: Settings):
    old, new = new_key(), new_key()
    settings.ENCRYPTION_KEYS = [old]
    stored = vault.encrypt(SECRET)
    settings.ENCRYPTION_KEYS = [new, old]
    stored = vault.reencrypt(stored)
    settings.ENCRYPTION_KEYS = [new]
    assert vault.decrypt(stored) == SECRET


@pytest.mark.parametrize("read", [vault.decrypt, vault.reencrypt])
def test_a_secret_whose_key_is_gone_says_what_to_do(settings: Settings, read):
    stored = vault.encrypt(SECRET)
    settings.ENCRYPTION_KEYS = [new_key()]
    with pytest.raises(vault.SecretUnreadableError, match="ENCRYPTION_KEYS"):
        read(stored)


@pytest.mark.django_db
def test_an_app_key_gives_its_credentials_and_never_prints_them():
    key = make_app_key(App.HIGIRL, Platform.IOS, secret=SECRET)
    key.refresh_from_db()
    assert key.credentials().secret == SECRET
    assert SECRET not in f"{key}{key!r}{key.secret_encrypted}{key.credentials()!r}"
