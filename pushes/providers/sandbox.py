"""The sandbox: Xinge v2 spoken to our own server, which pretends to be the provider."""

from typing import ClassVar

from pushes.names import ProviderKind
from pushes.providers.xinge_v2 import XingeV2


class SandboxProvider(XingeV2):
    kind: ClassVar[ProviderKind] = ProviderKind.SANDBOX
    own_urls: ClassVar[tuple[str, ...]] = ()
