"""What an access id says by itself: the provider numbers the apps of each platform in a range of its own."""

from django.utils.translation import gettext as _

from pushes.names import Platform, ProviderKind

IOS_LEAST_XINGE_ID = 2_200_000_000
#: TPNS's begin with 15 for Android and with 16 for iOS, and have ten digits.
TPNS_IDS = range(1_500_000_000, 1_700_000_000)
IOS_TPNS_PREFIX = "16"


def platform_of(access_id: int) -> Platform:
    """Xinge numbers iOS apps from 2200000000; TPNS's begin with 16, and with 15 for Android."""
    is_tpns_ios = access_id < 2_000_000_000 and str(access_id).startswith(IOS_TPNS_PREFIX)
    return Platform.IOS if is_tpns_ios or access_id >= IOS_LEAST_XINGE_ID else Platform.ANDROID


def doubt(provider: str, platform: str, access_id: int) -> str:
    """Why this access id can hardly be right for a key of this provider and platform; "" when nothing speaks
    against it. A doubt is a warning, not an error: a gateway may number its apps as it likes."""
    words = {"access_id": access_id, "platform": Platform(platform).label}
    if provider == ProviderKind.TPNS and access_id not in TPNS_IDS:
        return _("%(access_id)s is not a valid TPNS access ID: those have ten digits and begin with 15 or 16.") % words
    if provider == ProviderKind.XINGE_V2 and access_id in TPNS_IDS:
        return _("%(access_id)s looks like a TPNS access ID, but the provider is Xinge.") % words
    if platform_of(access_id) == platform:
        return ""
    if platform_of(access_id) is Platform.IOS:
        return _("%(access_id)s is the access ID of an iOS app, but this key is for %(platform)s.") % words
    return _("%(access_id)s is the access ID of an Android app, but this key is for %(platform)s.") % words
