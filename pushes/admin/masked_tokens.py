"""Masked tokens as pages and exports show them (`abcd…wxyz`), found again: by the index of the tokens' beginnings."""

import re

from django.db.models import Q, QuerySet

from pushes.admin.filters import starts_with
from pushes.models import DeliveryResult, Device

#: The ends of a token with whatever somebody's clipboard or keyboard makes of the sign between them.
_MASK = re.compile(r"(?P<begins>\S{4}) ?(?:…|⋯|\.{2,6}|\*{2,8}) ?(?P<ends>\S{4})")
#: Of tokens with the same ends so many are looked up.
MOST_TOKENS = 200


def is_mask(text: str) -> bool:
    return _MASK.fullmatch(text.strip()) is not None


def of_devices(text: str) -> list[str]:
    """The tokens of our devices that are masked so."""
    return _tokens(text, Device.objects.all())


def of_deliveries(text: str) -> list[str]:
    """The same of the log, whose devices another directory may keep, or nobody any more."""
    return of_devices(text) or _tokens(text, DeliveryResult.objects.all())


def _tokens(text: str, rows: "QuerySet[Device] | QuerySet[DeliveryResult]") -> list[str]:
    found = _MASK.fullmatch(text.strip())
    if found is None:
        return []
    alike = rows.filter(starts_with("token", found["begins"]) & Q(token__endswith=found["ends"]))
    # In the order of the index, so that no database thinks of reading the rows from their newest on.
    tokens = alike.order_by("token").values_list("token", flat=True).distinct()[:MOST_TOKENS]
    # SQLite's LIKE takes small letters for capitals.
    return [token for token in tokens if token.startswith(found["begins"]) and token.endswith(found["ends"])]
