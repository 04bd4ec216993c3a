"""The second factor of a login: an app with six digits (TOTP), and backup codes on paper.

The app's key is in the vault. The codes are keyed digests, and their key is in the vault too, so a copy of the database
reveals neither. Wrong codes are counted by their source: a stranger who knows a password and guesses codes has to wait,
and the account's owner does not.
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
    """The user already has a second factor."""


class Source(NamedTuple):
    """Where a login comes from: a known browser of the operator, or else an address."""

    name: str

    @property
    def is_known(self) -> bool:
        return self.name.startswith(KNOWN)


class Verdict(NamedTuple):
    """The result of a check. `factor` is set if the code was right; `until`: when the app's next code is checked, None:
    at once; `takes_paper`: a backup code is checked already."""

    factor: SecondFactor | None
    was_too_soon: bool = False
    until: datetime | None = None
    takes_paper: bool = False


def has_one(user: Any) -> bool:
    return bool(SecondFactor.objects.filter(user=user).exists())


def codes_left(user: Any) -> int:
    return BackupCode.objects.filter(factor__user=user).count()


def new_key() -> str:
    """Draw a secret for an app, in base 32, the form that apps accept."""
    return b32encode(secrets.token_bytes(20)).decode()


def spaced(key: str) -> str:
    """Write `key` in groups of four, for typing."""
    return " ".join(key[at : at + 4] for at in range(0, len(key), 4))


def qr_svg(user: User, key: str) -> str:
    """Draw the QR code for an authenticator app as SVG within the page: no other server is asked."""
    issuer = settings.OTP_TOTP_ISSUER
    label = quote(f"{issuer}:{user.get_username()}")
    query = urlencode({"secret": key, "algorithm": "SHA1", "digits": APP_DIGITS, "period": STEP_SECONDS})
    code = segno.make(f"otpauth://totp/{label}?{query}&issuer={quote(issuer)}", error="m")
    return str(code.svg_inline(scale=5, border=3, dark="#000", light="#fff"))


@transaction.atomic
def enrol(user: User, key: str, code: str) -> list[str] | None:
    """Store `key` if `code` proves that the app has it, and return fresh backup codes; None for a wrong code.

    Raises EnrolledError, also for the second of two simultaneous submissions.
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
    """Make ten backup codes, each good for one login; the old codes become void."""
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
    """Whether `code`, of the app or of the paper, is right. Each code works once; wrong codes are counted."""
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
    """Whether the app shows these digits now, and neither these nor later digits were accepted before."""
    if not (typed.isascii() and typed.isdecimal() and len(typed) == APP_DIGITS):
        return False
    totp = TOTP(bytes.fromhex(vault.decrypt(factor.key_encrypted)), STEP_SECONDS, 0, APP_DIGITS, factor.drift)
    totp.time = time.time()
    if not totp.verify(int(typed), TOLERANCE, factor.last_step + 1):
        return False
    factor.last_step, factor.drift = totp.t(), totp.drift
    return True


def _is_on_paper(factor: SecondFactor, typed: str) -> bool:
    """Whether this is an unused backup code; if so, use it up."""
    if not factor.codes_key_encrypted:
        return False
    digest = vault.keyed_digest(vault.decrypt(factor.codes_key_encrypted), typed)
    found = [code.pk for code in factor.codes.all() if hmac.compare_digest(code.digest, digest)]
    BackupCode.objects.filter(pk__in=found).delete()
    return bool(found)


def _may_be_on_paper(typed: str) -> bool:
    """Whether this has the form of a backup code. There are a million million such codes: guesses from any number of
    places find none, so strangers need no common limit. A backup code is the owner's way in while strangers use up the
    limit of the app's codes."""
    return len(typed) == PAPER_CHARACTERS


def _bare(code: str) -> str:
    """Remove the spaces and dashes that people type, and replace wide digits of an input method with plain digits."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", code))).lower()


def locked_until(user: Any, source: Source) -> datetime | None:
    """Until when the app's codes from `source` are not checked, after wrong codes; None if a code may be tried now."""
    ends = [_own_wait(user, source), None if source.is_known else _strangers_wait(user)]
    return max((end for end in ends if end), default=None)


def _own_wait(user: Any, source: Source) -> datetime | None:
    """The wait after wrong codes from `source` itself."""
    own = _wrong_within_memory(user).filter(source=source.name)
    last = own.last()
    until = last.at + _wait(own.count()) if last else None
    return until if until and until > timezone.now() else None


def _strangers_wait(user: Any) -> datetime | None:
    """The wait after wrong codes from all unknown places together."""
    strangers = _wrong_within_memory(user).exclude(source__startswith=KNOWN)
    oldest = strangers.order_by("-at", "-pk")[MAX_FROM_STRANGERS - 1 : MAX_FROM_STRANGERS].first()
    return oldest.at + MEMORY if oldest else None


def _wrong_within_memory(user: Any) -> QuerySet[WrongCode]:
    return WrongCode.objects.filter(user=user, at__gt=timezone.now() - MEMORY).order_by("at", "pk")


def _wait(failures: int) -> timedelta:
    """The wait after this number of wrong codes from one place."""
    extra = failures - settings.AXES_FAILURE_LIMIT
    if extra < 0:
        return timedelta(0)
    base: timedelta = settings.AXES_COOLOFF_TIME
    longest = max(base, MAX_WAIT)
    return min(base * int(2 ** min(extra, 16)), longest)


def wrong_elsewhere(user: Any, source: Source) -> int:
    """Count the wrong codes for `user` from other places within MEMORY: whoever typed them has the password."""
    return _wrong_within_memory(user).exclude(source=source.name).count()


def passed(request: HttpRequest, factor: SecondFactor) -> None:
    """Note that this session has shown its second factor, under a new session key."""
    request.session.cycle_key()
    django_otp.login(request, factor)


def factor_of(user: Any) -> SecondFactor:
    found: SecondFactor = SecondFactor.objects.get(user=user)
    return found


@transaction.atomic
def remove(user: Any) -> bool:
    """Remove the app and the codes; False if there were none. The user's sessions continue without a second factor."""
    WrongCode.objects.filter(user=user).delete()
    gone, _each = SecondFactor.objects.filter(user=user).delete()
    return bool(gone)
