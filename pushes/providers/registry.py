"""Map provider kinds to providers. An instance holds no connection and no key, so one per kind is enough."""

from collections.abc import Collection
from functools import cache

from pushes.names import ProviderKind
from pushes.providers.apns import Apns
from pushes.providers.base import Provider
from pushes.providers.fcm import Fcm
from pushes.providers.huawei_v1 import HuaweiV1
from pushes.providers.huawei_v3 import HuaweiV3
from pushes.providers.jpush import JPush
from pushes.providers.sandbox import SandboxProvider
from pushes.providers.tpns import Tpns
from pushes.providers.xinge_v2 import XingeV2

#: Every provider there is.
PROVIDERS: tuple[type[Provider], ...] = (XingeV2, Tpns, SandboxProvider, Apns, Fcm, JPush, HuaweiV3, HuaweiV1)


class UnknownProviderError(LookupError):
    """No provider of that kind exists."""


@cache
def provider(kind: str) -> Provider:
    """Return the provider of `kind`. Raises UnknownProviderError."""
    for known in PROVIDERS:
        if known.kind == kind:
            return known()
    raise UnknownProviderError(f"provider={kind!r} is unknown: it must be one of {', '.join(ProviderKind.values)}")


def own_urls() -> tuple[str, ...]:
    """Return the vendors' own addresses, of all kinds."""
    return tuple(url for known in PROVIDERS for url in known.own_urls)


def max_message_bytes(kinds: Collection[str] = ()) -> int:
    """Return how large a message may be that no provider of these kinds has to cut; of all kinds without any."""
    return min(known.max_message_bytes for known in PROVIDERS if not kinds or known.kind in kinds)


def sandbox_kinds() -> tuple[ProviderKind, ...]:
    """The kinds whose pushes reach no phone."""
    return tuple(known.kind for known in PROVIDERS if not known.reaches_phones)
