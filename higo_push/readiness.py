"""What `/readyz` asks besides the database and Redis (the READINESS_CHECKS setting names these)."""

from django.conf import settings

from chatscan.mongo import connection
from pushes.people import sql_source
from pushes.storage import probe

TIMEOUT_SECONDS = 1.5


def check_mongodb() -> None:
    """Raises whatever keeps MongoDB from answering a ping."""
    with connection.connect(settings.MONGO_URL, TIMEOUT_SECONDS) as client:
        client.admin.command("ping")


def check_directory() -> None:
    """Raises django.db.Error when the directory's database does not answer."""
    probe.ask(sql_source.ALIAS, seconds=1)
