"""What waits in an operator's session between a look and a yes: encrypted, for ten minutes, and taken out once."""

import json
import time
from typing import Any

from django.http import HttpRequest

from pushes import vault

VALID_SECONDS = 600


def keep(request: HttpRequest, name: str, value: Any) -> None:
    """`value` is anything that JSON can hold. It takes the place of what waited under this name."""
    sealed = vault.encrypt(json.dumps(value))
    request.session[name] = {"sealed": sealed, "until": time.time() + VALID_SECONDS}


def forget(request: HttpRequest, name: str) -> None:
    request.session.pop(name, None)


def take(request: HttpRequest, name: str) -> Any:
    """What waits under this name; None when it is gone, too old or unreadable. A second call finds nothing."""
    kept = request.session.pop(name, None)
    if kept is None or kept["until"] < time.time():
        return None
    try:
        return json.loads(vault.decrypt(kept["sealed"]))
    except vault.SecretUnreadableError:
        return None
