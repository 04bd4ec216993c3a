"""Add an app key, or rotate the secret of one, from the files that the vendors hand out."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pushes.keys import check, entry, rotation
from pushes.management import endpoint as endpoint_url
from pushes.models import AppKey
from pushes.names import CHANNELS, App, Environment, ProviderKind, platform_of
from pushes.providers.base import CredentialField, CredentialsError, Sealed

STDIN = "-"


class Command(BaseCommand):
    help = (
        "Add an app key, or rotate the secret of one with --rotate. Secrets and key files are read from files, or one "
        "of them from standard input (-), and are never shown. Exits with 1 when nothing was stored."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("app", choices=App.values)
        parser.add_argument("platform", type=_platform, help="android, ios or harmony")
        parser.add_argument("--provider", required=True, choices=entry.kinds())
        parser.add_argument("--environment", default=Environment.PRODUCTION.value, choices=Environment.values)
        parser.add_argument("--endpoint", default="", help="endpoint URL, instead of the provider's own")
        parser.add_argument("--rate", type=int, help="calls per second; none: no limit")
        parser.add_argument("--verify", action="store_true", help="store nothing that the provider does not accept")
        parser.add_argument("--rotate", action="store_true", help="verify and use the new secret, and keep the old one")
        for option, (field, kinds) in _options().items():
            is_file = field.is_file or field.is_secret
            what = f"{field.label} ({', '.join(kinds)}){': a file, or - for standard input' if is_file else ''}"
            parser.add_argument(option, dest=_dest(field), metavar="FILE" if is_file else "TEXT", help=what)

    def handle(
        self, *, app: str, platform: str, provider: str, environment: str, endpoint: str, **options: Any
    ) -> None:
        if fault := entry.platform_fault(provider, platform):
            raise CommandError(f"platform={platform}: {fault}")
        key = AppKey(app=app, platform=platform, environment=environment, provider=provider)
        key.endpoint_url, key.rate_per_second = (
            endpoint_url.checked(endpoint) if endpoint else "",
            _checked_rate(options["rate"]),
        )
        entered = _entered(provider, options)
        if options["rotate"]:
            self._rotate(key, entered)
        else:
            self._add(key, entered, is_verified=options["verify"])

    def _add(self, key: AppKey, entered: dict[str, str], *, is_verified: bool) -> None:
        if entry.scope_fault(key, key.provider):
            raise CommandError(f"There is already a key of {_scope(key)}. Rotate its secret with --rotate.")
        _check_needed(entry.fields(key.provider), entered, key.provider)
        sealed = _valid(key.provider, lambda: entry.sealed(key, key.provider, entered))
        key.set_secret(sealed.secret, sealed.access_id)
        if doubt := check.doubt(key):
            self.stderr.write(f"Warning: {doubt}")
        if is_verified:
            self._verify(key, sealed)
        key.save()
        self.stdout.write(f"Added: {key}")

    def _rotate(self, new: AppKey, entered: dict[str, str]) -> None:
        key = AppKey.objects.filter(
            app=new.app,
            platform=new.platform,
            environment=new.environment,
            channel=CHANNELS[ProviderKind(new.provider)],
            provider=new.provider,
        ).first()
        if key is None:
            raise CommandError(f"There is no key of {_scope(new)} to rotate.")
        if new.endpoint_url or new.rate_per_second:
            raise CommandError("--endpoint and --rate cannot be changed with --rotate.")
        if key.has_old_secret:
            raise CommandError("An old secret is still kept. Discard it or roll back to it in the console first.")
        ids = {field.name for field in entry.fields(key.provider) if field.is_access_id}
        for name in ids & {name for name, text in entered.items() if text and text != key.access_id}:
            raise CommandError(f"--{_spelled(name)}: the access ID of the key stays {key.access_id}.")
        _check_needed(entry.asked_fields(key.provider), entered, key.provider)
        sealed = _valid(key.provider, lambda: entry.rotated(key, entered))
        self._verify(key, sealed)
        if not rotation.rotate(key, sealed.secret, sealed.access_id):
            raise CommandError("Nothing was changed: someone else has changed the secret in the meantime.")
        key.refresh_from_db()
        self.stdout.write(f"Rotated: {key}. The old secret is kept until it is discarded in the console.")

    def _verify(self, key: AppKey, sealed: Sealed) -> None:
        try:
            outcome = check.check_secret(key, sealed)
        except check.BusyError as busy:
            raise CommandError(str(busy)) from None
        if not check.is_good(outcome):
            raise CommandError(f"Nothing was stored: {check.explain(outcome)}")
        self.stdout.write(f"Verified: {check.explain(outcome)}.")


def _options() -> dict[str, tuple[CredentialField, list[str]]]:
    """Return the options of all providers' credentials, each with the providers that take it."""
    found: dict[str, tuple[CredentialField, list[str]]] = {}
    for kind in entry.kinds():
        for field in entry.fields(kind):
            found.setdefault(_option(field), (field, []))[1].append(kind.value)
    return found


def _option(field: CredentialField) -> str:
    """A secret that is no file is read from one, too: a command line is seen by every user of the machine."""
    return f"--{_spelled(field.name)}{'-file' if field.is_secret and not field.is_file else ''}"


def _spelled(name: str) -> str:
    return name.replace("_", "-")


def _dest(field: CredentialField) -> str:
    return f"credential{_option(field).replace('-', '_')}"


def _entered(kind: str, options: dict[str, Any]) -> dict[str, str]:
    """Return the credentials by field. Raises CommandError for another provider's options and for unreadable files."""
    own = {_option(field): field for field in entry.fields(kind)}
    given = {option: options[_dest(field)] for option, (field, _) in _options().items() if options[_dest(field)]}
    for option in given.keys() - own.keys():
        raise CommandError(f"{option} is not for {kind}, which takes {', '.join(own)}.")
    return dict(_texts(own, given))


def _texts(own: dict[str, CredentialField], given: dict[str, str]) -> Iterator[tuple[str, str]]:
    for option, field in own.items():
        value = given.get(option, "")
        is_file = field.is_file or field.is_secret
        yield field.name, _text_of(option, value) if is_file and value else value


def _text_of(option: str, path: str) -> str:
    try:
        if path == STDIN:
            return entry.text_of(sys.stdin.buffer.read(entry.MAX_FILE_BYTES + 1))
        with Path(path).open("rb") as file:
            return entry.text_of(file.read(entry.MAX_FILE_BYTES + 1))
    except OSError as error:
        raise CommandError(f"{option}={path}: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{option}={path}: {error}") from None


def _check_needed(fields: tuple[CredentialField, ...], entered: dict[str, str], kind: str) -> None:
    missing = [_option(field) for field in fields if not entered.get(field.name)]
    if missing:
        raise CommandError(f"{kind} also needs {', '.join(missing)}.")


def _valid(kind: str, make: Any) -> Sealed:
    """Return what `make` returns. Raises CommandError with the option that is to be corrected."""
    try:
        sealed: Sealed = make()
    except CredentialsError as error:
        options = {field.name: _option(field) for field in entry.fields(kind)}
        raise CommandError(f"{options.get(error.field, error.field)}: {error}") from None
    return sealed


def _scope(key: AppKey) -> str:
    return f"{key.app} {key.platform} {key.environment} for {CHANNELS[ProviderKind(key.provider)].value}"


def _platform(text: str) -> str:
    return platform_of(text).value


def _checked_rate(rate: int | None) -> int | None:
    if rate is not None and not 0 < rate < 2**31:
        raise CommandError(f"--rate={rate}: enter a positive number of calls per second.")
    return rate
