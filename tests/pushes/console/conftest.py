"""Browsers without a browser: Django's client, signed in with a role."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from pushes.console.operators import roles
from tests.make import make_operator

SignIn = Callable[[str], Client]


def url(name: str, *args: object) -> str:
    """The address of a console page: `appkey_change`, or with its app, `auth_user_changelist`."""
    full = name if name.split("_")[0] in ("auth", "django") else f"pushes_{name}"
    return reverse(f"admin:{full}", args=args)


@pytest.fixture
def sign_in(db: None) -> SignIn:
    def signed_in(role: str = "") -> Client:
        client = Client()
        client.force_login(make_operator(role))
        return client

    return signed_in


@pytest.fixture
def viewer(sign_in: SignIn) -> Client:
    return sign_in(roles.VIEWER)


@pytest.fixture
def operator(sign_in: SignIn) -> Client:
    return sign_in(roles.OPERATOR)


@pytest.fixture
def key_manager(sign_in: SignIn) -> Client:
    return sign_in(roles.KEY_MANAGER)


@pytest.fixture
def administrator(sign_in: SignIn) -> Client:
    return sign_in(roles.ADMINISTRATOR)


@pytest.fixture
def quick_passwords(settings: Any) -> None:
    """Passwords hashed fast: the real ones take a third of a second each, which is what they are for."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
