"""The second factor of a login: an app that shows six digits (TOTP), and backup codes on paper.

The app's key lies in the vault, the codes are keyed digests whose key lies there, too: a copy of the database tells
neither. Wrong codes are counted by where they come from, so that whoever knows a password and guesses at codes makes
himself wait, and not the account's owner.
"""

import hmac
import secrets
import time
import unicodedata
from base64 import b32decode, b32encode
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import django_otp
import segno
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django_otp.oath import TOTP

from pushes import vault
from pushes.models import BackupCode, SecondFactor, WrongCode

BACKUP_CODES = 10
PAPER_BYTES, PAPER_CHARACTERS = 5, 8
#: How the name of a known browser begins; no address does.
KNOWN = "browser:"
NAME = "console"
APP_DIGITS = 6
STEP_SECONDS = 30
#: Half-minutes by which the phone's clock may be off beside what is known of it.
TOLERANCE = 1
#: For so long a wrong code counts.
MEMORY = timedelta(days=1)
#: From LOGIN_FAILURES wrong codes on, one place waits LOGIN_LOCK_MINUTES after each, doubled each time up to this.
MAX_WAIT = timedelta(hours=1)
#: So many wrong codes within MEMORY, from all places that are not known together, and such places have to wait. Three
#: codes are right at any time, so whoever has the password finds one by chance on one day of three thousand.
MAX_FROM_STRANGERS = 100


class EnrolledError(Exception):
    """The user has a second factor already."""


class Source(NamedTuple):
    """Where a login comes from: a browser that the operator has logged in with before, or else an address."""

    name: str

    @property
    def is_known(self) -> bool:
        return self.name.startswith(KNOWN)


class Verdict(NamedTuple):
    """`factor` when the code was right; `until`: when the app's next code is looked at, None: at once; `takes_paper`:
    a backup code is looked at already."""

    factor: SecondFactor | None
    was_too_soon: bool = False
    until: datetime | None = None
    takes_paper: bool = False


def has_one(user: Any) -> bool:
    return bool(SecondFactor.objects.filter(user=user).exists())


def codes_left(user: Any) -> int:
    return BackupCode.objects.filter(factor__user=user).count()


def new_key() -> str:
    """A secret for an app, in base 32 as apps take it."""
    return b32encode(secrets.token_bytes(20)).decode()


def spaced(key: str) -> str:
    """`key` in fours, for typing it off the screen."""
    return " ".join(key[at : at + 4] for at in range(0, len(key), 4))


def qr_svg(user: User, key: str) -> str:
    """The QR code for an authenticator app as SVG to stand in the page: no other server is asked for it."""
    issuer = settings.OTP_TOTP_ISSUER
    label = quote(f"{issuer}:{user.get_username()}")
    query = urlencode({"secret": key, "algorithm": "SHA1", "digits": APP_DIGITS, "period": STEP_SECONDS})
    code = segno.make(f"otpauth://totp/{label}?{query}&issuer={quote(issuer)}", error="m")
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
    factor = SecondFactor(user=user, name=NAME, confirmed=True, key_encrypted=vault.encrypt(b32decode(key).hex()))
    if not _shows(factor, _bare(code)):
        return None
    factor.save()
    return new_codes(user)


@transaction.atomic
def new_codes(user: User) -> list[str]:
    """Ten backup codes, each good for one login; the old ones are void."""
    factor = SecondFactor.objects.select_for_update().get(user=user)
    codes_key = secrets.token_urlsafe(32)
    codes = [b32encode(secrets.token_bytes(PAPER_BYTES)).decode().lower() for _ in range(BACKUP_CODES)]
    factor.codes.all().delete()
    SecondFactor.objects.filter(pk=factor.pk).update(codes_key_encrypted=vault.encrypt(codes_key))
    BackupCode.objects.bulk_create(
        BackupCode(factor=factor, digest=vault.keyed_digest(codes_key, code)) for code in codes
    )
    return codes


@transaction.atomic
def check(user: Any, code: str, source: Source) -> Verdict:
    """Whether `code`, of the app or on paper, is right. Either kind works once; wrong ones are counted."""
    # The row is locked: of many guesses at once none goes uncounted, and no code is taken twice.
    factor = SecondFactor.objects.select_for_update().filter(user=user).first()
    if factor is None:
        return Verdict(None)
    typed = _bare(code)
    until = _own_wait(user, source) if _may_be_on_paper(typed) else locked_until(user, source)
    if until is not None:
        return _refused(user, source, was_too_soon=True)
    if not _takes(factor, typed):
        WrongCode.objects.filter(at__lte=timezone.now() - MEMORY).delete()
        WrongCode.objects.create(user=user, source=source.name)
        return _refused(user, source)
    WrongCode.objects.filter(user=user, source=source.name).delete()
    return Verdict(factor)


def _refused(user: Any, source: Source, *, was_too_soon: bool = False) -> Verdict:
    until = locked_until(user, source)
    return Verdict(None, was_too_soon, until, takes_paper=until is not None and _own_wait(user, source) is None)


def _takes(factor: SecondFactor, typed: str) -> bool:
    is_right = _shows(factor, typed) or _is_on_paper(factor, typed)
    if is_right:
        factor.last_used_at = timezone.now()
        factor.save(update_fields=["last_step", "drift", "last_used_at"])
    return is_right


def _shows(factor: SecondFactor, typed: str) -> bool:
    """Whether the app shows these digits now, and has not been believed with them, or later ones, before."""
    if not (typed.isascii() and typed.isdecimal() and len(typed) == APP_DIGITS):
        return False
    totp = TOTP(bytes.fromhex(vault.decrypt(factor.key_encrypted)), STEP_SECONDS, 0, APP_DIGITS, factor.drift)
    totp.time = time.time()
    if not totp.verify(int(typed), TOLERANCE, factor.last_step + 1):
        return False
    factor.last_step, factor.drift = totp.t(), totp.drift
    return True


def _is_on_paper(factor: SecondFactor, typed: str) -> bool:
    """Whether it is an unused backup code; it is used up then."""
    if not factor.codes_key_encrypted:
        return False
    digest = vault.keyed_digest(vault.decrypt(factor.codes_key_encrypted), typed)
    found = [code.pk for code in factor.codes.all() if hmac.compare_digest(code.digest, digest)]
    BackupCode.objects.filter(pk__in=found).delete()
    return bool(found)


def _may_be_on_paper(typed: str) -> bool:
    """Of backup codes there are a million million: guesses from however many places find none, so that strangers need
    no ceiling together. It is the owner's way in while somebody else uses that up."""
    return len(typed) == PAPER_CHARACTERS


def _bare(code: str) -> str:
    """Without the blanks and dashes that people put in, and in plain digits where an input method made wide ones."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", code))).lower()


def locked_until(user: Any, source: Source) -> datetime | None:
    """Until when the app's codes from `source` are not looked at after wrong ones. None: it may be tried now."""
    ends = [_own_wait(user, source), None if source.is_known else _strangers_wait(user)]
    return max((end for end in ends if end), default=None)


def _own_wait(user: Any, source: Source) -> datetime | None:
    """For the wrong codes that came from `source` itself."""
    own = _wrong_within_memory(user).filter(source=source.name)
    last = own.last()
    until = last.at + _wait(own.count()) if last else None
    return until if until and until > timezone.now() else None


def _strangers_wait(user: Any) -> datetime | None:
    """For those from all places together that are not known."""
    strangers = _wrong_within_memory(user).exclude(source__startswith=KNOWN)
    oldest = strangers.order_by("-at", "-pk")[MAX_FROM_STRANGERS - 1 : MAX_FROM_STRANGERS].first()
    return oldest.at + MEMORY if oldest else None


def _wrong_within_memory(user: Any) -> QuerySet[WrongCode]:
    return WrongCode.objects.filter(user=user, at__gt=timezone.now() - MEMORY).order_by("at", "pk")


def _wait(failures: int) -> timedelta:
    """After so many wrong codes from one place."""
    extra = failures - settings.AXES_FAILURE_LIMIT
    if extra < 0:
        return timedelta(0)
    base: timedelta = settings.AXES_COOLOFF_TIME
    longest = max(base, MAX_WAIT)
    return min(base * int(2 ** min(extra, 16)), longest)


def wrong_elsewhere(user: Any, source: Source) -> int:
    """How many wrong codes were given for `user` from other places within MEMORY, by somebody with the password."""
    return _wrong_within_memory(user).exclude(source=source.name).count()


def passed(request: HttpRequest, factor: SecondFactor) -> None:
    """This session has shown its second factor: from now on under another session key."""
    request.session.cycle_key()
    django_otp.login(request, factor)


def factor_of(user: Any) -> SecondFactor:
    found: SecondFactor = SecondFactor.objects.get(user=user)
    return found


@transaction.atomic
def remove(user: Any) -> bool:
    """Away with app and codes; False when there was neither. The user's sessions go on without a second factor."""
    WrongCode.objects.filter(user=user).delete()
    gone, _each = SecondFactor.objects.filter(user=user).delete()
    return bool(gone)
