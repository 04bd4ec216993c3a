"""The sandbox: Xinge v2 spoken to our own server, which pretends to be the provider."""

from typing import ClassVar

from django.conf import settings

from pushes.names import Platform, ProviderKind
from pushes.providers.tpns import Tpns
from pushes.providers.xinge_v2 import XingeProtocol


class SandboxProvider(XingeProtocol):
    """Takes the keys of all vendors, so that one can be tried with its own access id and secret."""

    kind: ClassVar[ProviderKind] = ProviderKind.SANDBOX
    reaches_phones: ClassVar[bool] = False
    access_id_spans: ClassVar[tuple[tuple[range, Platform], ...]] = (
        *Tpns.access_id_spans,
        *XingeProtocol.access_id_spans,
    )

    def __init__(self) -> None:
        super().__init__(settings.SANDBOX_URL)
