"""Map provider kinds to providers. An instance holds no connection and no key, so one per kind is enough."""

from functools import cache

from django.conf import settings

from pushes.names import ProviderKind
from pushes.providers.base import Provider
from pushes.providers.sandbox import SandboxProvider
from pushes.providers.tpns import Tpns
from pushes.providers.xinge_v2 import XingeV2


class UnknownProviderError(LookupError):
    """No provider of that kind exists."""


@cache
def provider(kind: str) -> Provider:
    """Return the provider of `kind`. Raises UnknownProviderError."""
    if kind == ProviderKind.XINGE_V2:
        return XingeV2()
    if kind == ProviderKind.TPNS:
        return Tpns()
    if kind == ProviderKind.SANDBOX:
        return SandboxProvider(settings.SANDBOX_URL)
    raise UnknownProviderError(f"provider={kind!r} is unknown: it must be one of {', '.join(ProviderKind.values)}")


def own_urls() -> tuple[str, ...]:
    """Return the vendors' own addresses, of all kinds."""
    return (*XingeV2.own_urls, *Tpns.own_urls)
