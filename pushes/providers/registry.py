"""Provider kinds to providers. An instance holds no connection and no key, so one of each serves everybody."""

from functools import cache

from pushes.names import ProviderKind
from pushes.providers.base import Provider
from pushes.providers.sandbox import SandboxProvider
from pushes.providers.tpns import Tpns
from pushes.providers.xinge_v2 import XingeV2

#: Every provider there is.
PROVIDERS: tuple[type[Provider], ...] = (XingeV2, Tpns, SandboxProvider)


class UnknownProviderError(LookupError):
    """No provider of that kind exists."""


@cache
def provider(kind: str) -> Provider:
    """The provider of `kind`. Raises UnknownProviderError."""
    for known in PROVIDERS:
        if known.kind == kind:
            return known()
    raise UnknownProviderError(f"provider={kind!r} is unknown: it must be one of {', '.join(ProviderKind.values)}")


def own_urls() -> tuple[str, ...]:
    """Where the vendors themselves answer, of every kind."""
    return tuple(url for known in PROVIDERS for url in known.own_urls)


def max_message_bytes() -> int:
    """How large a message may be that no provider has to cut."""
    return min(known.max_message_bytes for known in PROVIDERS)


def sandbox_kinds() -> tuple[ProviderKind, ...]:
    """The kinds whose pushes reach no phone."""
    return tuple(known.kind for known in PROVIDERS if not known.reaches_phones)
