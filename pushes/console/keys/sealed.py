"""Keep a value in the operator's session between a preview and its confirmation: encrypted, for ten minutes, and taken
out once."""

import json
import time
from typing import Any

from django.http import HttpRequest

from pushes import vault

VALID_SECONDS = 600


def keep(request: HttpRequest, name: str, value: Any) -> None:
    """Keep `value`, which may be anything that JSON can hold, in place of an earlier value of this name."""
    sealed = vault.encrypt(json.dumps(value))
    request.session[name] = {"sealed": sealed, "until": time.time() + VALID_SECONDS}


def forget(request: HttpRequest, name: str) -> None:
    request.session.pop(name, None)


def take(request: HttpRequest, name: str) -> Any:
    """Take out the value of this name; None if it is gone, too old or unreadable. A second call finds nothing."""
    kept = request.session.pop(name, None)
    if kept is None or kept["until"] < time.time():
        return None
    try:
        return json.loads(vault.decrypt(kept["sealed"]))
    except vault.SecretUnreadableError:
        return None
