"""The second factor of a login: an app that shows six digits (TOTP), and backup codes on paper.

django-otp keeps both, as it comes: the app's key and the codes stand readable in the database, so that a copy of it
tells them; without the password, which is hashed, neither opens anything. This module is the only one that knows it.
"""

from base64 import b32decode, b32encode
from datetime import datetime
from typing import Any

import django_otp
import segno
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_otp.util import random_hex

BACKUP_CODES = 10
NAME = "console"
APP_DIGITS = 6


class EnrolledError(Exception):
    """The user has a second factor already."""


def has_one(user: Any) -> bool:
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists())


def codes_left(user: Any) -> int:
    return int(StaticToken.objects.filter(device__user=user).count())


def new_key() -> str:
    """A secret for an app, in base 32 as apps take it."""
    return b32encode(bytes.fromhex(random_hex(20))).decode()


def spaced(key: str) -> str:
    """`key` in fours, for typing it off the screen."""
    return " ".join(key[at : at + 4] for at in range(0, len(key), 4))


def qr_svg(user: User, key: str) -> str:
    """The QR code for an authenticator app as SVG to stand in the page: no other server is asked for it."""
    code = segno.make(_device(user, key).config_url, error="m")
    return str(code.svg_inline(scale=5, border=3, dark="#000", light="#fff"))


@transaction.atomic
def enrol(user: User, key: str, code: str) -> list[str] | None:
    """Store `key` if `code` proves that the app has it, and return fresh backup codes; None: wrong code.

    Raises EnrolledError, also for the second of two submissions at once.
    """
    # The user's row is locked, so that two submissions at once make one device.
    User.objects.select_for_update().get(pk=user.pk)
    if has_one(user):
        raise EnrolledError
    device = _device(user, key)
    device.save()
    if not device.verify_token(_bare(code)):
        device.delete()
        return None
    return new_codes(user)


def _device(user: User, key: str) -> Any:
    return TOTPDevice(user=user, name=NAME, key=b32decode(key).hex(), confirmed=True)


@transaction.atomic
def new_codes(user: User) -> list[str]:
    """Ten backup codes, each good for one login; the old ones are void."""
    StaticDevice.objects.filter(user=user).delete()
    paper = StaticDevice.objects.create(user=user, name=NAME)
    codes = [StaticToken.random_token() for _ in range(BACKUP_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=paper, token=code) for code in codes)
    return codes


def accepts(user: Any, code: str) -> Any:
    """The device that takes `code`, or None. A code of either kind works once; wrong ones slow the next try down."""
    typed = _bare(code)
    model = TOTPDevice if typed.isdecimal() and len(typed) <= APP_DIGITS else StaticDevice
    device = model.objects.filter(user=user, confirmed=True).first()
    return django_otp.verify_token(user, device.persistent_id, typed) if device else None


def _bare(code: str) -> str:
    """Without the blanks and dashes that people put in."""
    return "".join(code.split()).replace("-", "").lower()


def locked_until(user: Any) -> datetime | None:
    """After wrong codes every next try has to wait longer: until then. None: it may be tried now."""
    ends = []
    for model in (TOTPDevice, StaticDevice):
        for device in model.objects.filter(user=user, confirmed=True):
            _may, why = device.verify_is_allowed()
            if why and "locked_until" in why:
                ends.append(why["locked_until"])
    return max(ends, default=None)


def passed(request: HttpRequest, device: Any) -> None:
    """This session has shown its second factor: from now on under another session key."""
    request.session.cycle_key()
    django_otp.login(request, device)


def device_of(user: Any) -> Any:
    return TOTPDevice.objects.filter(user=user, confirmed=True).first()


@transaction.atomic
def remove(user: Any) -> bool:
    """Away with app and codes; False when there was neither. The user's sessions go on without a second factor."""
    apps, _each = TOTPDevice.objects.filter(user=user).delete()
    paper, _each = StaticDevice.objects.filter(user=user).delete()
    return bool(apps or paper)
