"""Find devices by masked tokens, as pages and exports show them (`abcd…wxyz`), by the index of the tokens' prefixes."""

import re

from django.db.models import Q, QuerySet

from pushes.models import DeliveryResult, Device
from pushes.names import Platform
from pushes.storage import prefix
from pushes.storage.prefix import starts_with
from pushes.text import device_tokens

#: The ends of a token, with whatever a clipboard or keyboard puts between them.
_MASK = re.compile(r"(?P<begins>\S{4})\s*(?:[…⋯‥]{1,3}|\.{2,6}|。{2,6}|\*{2,8})\s*(?P<ends>\S{4})")
#: How many tokens with the same ends are looked up.
MAX_TOKENS = 200


def is_mask(text: str) -> bool:
    return _MASK.fullmatch(text.strip()) is not None


def of_devices(text: str) -> list[str]:
    """Return the tokens of our devices with this mask."""
    return _tokens(text, Device.objects.all())


def of_deliveries(text: str) -> list[str]:
    """Return the same for the log, whose devices may belong to a custom directory, or no longer exist."""
    return of_devices(text) or _tokens(text, DeliveryResult.objects.all())


def _tokens(text: str, rows: "QuerySet[Device] | QuerySet[DeliveryResult]") -> list[str]:
    mask = _MASK.fullmatch(text.strip())
    if mask is None:
        return []
    begins, ends = mask.groups()
    found = _with_ends(rows, begins, ends)
    lower = begins.lower(), ends.lower()
    if lower != (begins, ends) and device_tokens.apple(begins + ends):
        found += _with_ends(rows.filter(platform=Platform.IOS), *lower)
    return found


def _with_ends(rows: "QuerySet[Device] | QuerySet[DeliveryResult]", begins: str, ends: str) -> list[str]:
    alike = rows.filter(starts_with("token", begins) & Q(token__endswith=ends))
    # In index order, so that no database decides to read the rows from the newest on.
    tokens = alike.order_by("token").values_list("token", flat=True).distinct()[:MAX_TOKENS]
    # SQLite's LIKE ignores case.
    return [token for token in tokens if token.startswith(begins) and token.endswith(ends)]


def has_token(text: str) -> Q:
    """Return the rows with exactly this device token, in any spelling."""
    condition = Q(token=text)
    if apns := device_tokens.apple(text):
        condition |= Q(token=apns, platform=Platform.IOS)
    return condition


def token_begins(text: str) -> Q:
    """Return the rows whose device token has this prefix, in any spelling."""
    condition = prefix.starts_with("token", text)
    if (apns := device_tokens.apple(text)) and apns != text:
        condition |= Q(platform=Platform.IOS) & prefix.starts_with("token", apns)
    return condition
