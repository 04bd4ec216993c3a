"""The environment that the tests run in, made before Django's settings are read from it.

Nothing of the developer's own `.env` or shell reaches a test, except where the services are: REDIS_URL,
MONGO_URL and DATABASE_URL from outside are used. Import this before anything of the project's.
"""

import atexit
import contextlib
import os
import re
import secrets
from pathlib import Path

import django
import hypothesis
import pytest
from cryptography.fernet import Fernet
from django.conf import settings

from higo_push.running import embedded
from tests import redis_database

PROJECT = Path(__file__).resolve().parent.parent
SERVICES = ("REDIS_URL", "MONGO_URL", "DATABASE_URL")

#: What is closed when the session ends, last opened first.
ends = contextlib.ExitStack()


def settings_variables() -> set[str]:
    """Every environment variable that the settings read."""
    source = (PROJECT / "higo_push" / "settings.py").read_text()
    return set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))


def _redis_url() -> str:
    if os.environ.get("REDIS_URL"):
        return ends.enter_context(redis_database.claimed(os.environ["REDIS_URL"]))
    return ends.enter_context(embedded.running(embedded.Valkey(FOLDER / "valkey"))).url


if settings.configured:
    raise pytest.UsageError("unset DJANGO_SETTINGS_MODULE: the tests make their environment before settings are read")

# A busy machine is no error of the code's.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("suite")

atexit.register(ends.close)
FOLDER = ends.enter_context(embedded.temporary_folder())
for variable in settings_variables() - set(SERVICES):
    os.environ.pop(variable, None)
os.environ.update(
    ENV_FILE=os.devnull,
    SECRET_KEY=secrets.token_urlsafe(48),
    ENCRYPTION_KEYS=Fernet.generate_key().decode(),
    HTTPS="off",
    DELIVERY_WINDOW="off",
    LOG_LEVEL="WARNING",
    # Sandboxes and raw servers listen here, at whatever port is free.
    PROVIDER_HOSTS="127.0.0.1,localhost",
    REDIS_URL=_redis_url(),
    DJANGO_SETTINGS_MODULE="higo_push.settings",
)
os.environ.setdefault("DATABASE_URL", f"sqlite:///{FOLDER / 'development.sqlite3'}")
django.setup()
