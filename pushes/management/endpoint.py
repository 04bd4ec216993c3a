"""The endpoint URL that a command is given."""

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.core.validators import URLValidator

from pushes.providers import hosts


def checked(endpoint: str) -> str:
    """Return the URL as it is stored. Raises CommandError for one that no key may have."""
    url = hosts.ascii_url(endpoint)
    # What stands before an @ may be a password.
    shown = f"…@{url.rpartition('@')[2]}" if "@" in url else endpoint
    try:
        URLValidator(schemes=["http", "https"])(url)
    except ValidationError as error:
        raise CommandError(f"--endpoint={shown!r} is not a valid URL: write http://… or https://….") from error
    if fault := hosts.fault(url):
        raise CommandError(f"--endpoint={shown!r}: {fault}")
    return url
