"""Typed readers for the process environment.

Each reader either returns a usable value or raises `ImproperlyConfigured` with a message that names
the variable, the value it had and what would be accepted. A `.env` file in the project's root is
read first; variables that are already set win over it.
"""

import ipaddress
import os
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from higo_push import env_file

BASE_DIR = Path(__file__).resolve().parent.parent
TRUE_WORDS = {"1", "true", "yes", "on"}
MAX_PORT = 65_535
KNOWN_SCHEMES = frozenset(("http", "https", "postgres", "postgresql", "mariadb", "mysql", "sqlite", "redis", "mongodb"))
REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
MONGO_SCHEMES = ("mongodb", "mongodb+srv")
FALSE_WORDS = {"0", "false", "no", "off"}
_HOST = re.compile(
    r"(?P<scheme>https?://)?(?P<host>\[[0-9a-f:.]+\]|[0-9a-z_-]+(?:\.[0-9a-z_-]+)*\.?)(?::(?P<port>[0-9]{1,5}))?"
)


class Process:
    """The kind of process that reads the settings. A command (`migrate`, an import) may take long; a serving process
    must never wait long for one answer."""

    is_command = False


#: What is not this process's own environment but stands in the file: every process reads it anew.
FROM_FILE = env_file.read(Path(os.environ.get("ENV_FILE", str(BASE_DIR / ".env"))))


def refuse(name: str, value: str, wanted: str) -> ImproperlyConfigured:
    """Return the error for an invalid value of a variable."""
    return ImproperlyConfigured(f"{name}={value!r} cannot be used: {wanted}.")


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def plain(name: str, default: str = "") -> str:
    """Read a value without quotes and ` #` comments, which some programs pass on from their own files."""
    return env_file.unwrapped(os.environ.get(name, "")) or default


def required(name: str, hint: str) -> str:
    value = text(name)
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: {hint}")
    return value


def integer(name: str, default: int, *, least: int = 0, most: int = 2**31) -> int:
    value = plain(name, str(default))
    try:
        number = int(value)
    except ValueError:
        raise refuse(name, value, "it must be a whole number") from None
    if not least <= number <= most:
        raise refuse(name, value, f"it must lie between {least} and {most}")
    return number


def number(name: str, default: float, *, least: float = 0.0) -> float:
    value = plain(name, str(default))
    try:
        parsed = float(value)
    except ValueError:
        raise refuse(name, value, "it must be a number") from None
    if not parsed >= least or parsed == float("inf"):
        raise refuse(name, value, f"it must be at least {least}")
    return parsed


def boolean(name: str, default: bool) -> bool:
    value = plain(name, "on" if default else "off").lower()
    if value in TRUE_WORDS:
        return True
    if value in FALSE_WORDS:
        return False
    raise refuse(name, value, "write on or off")


def words(name: str, default: str = "") -> list[str]:
    """Read a comma-separated list; spaces are dropped."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def pairs(name: str, default: str = "") -> dict[str, str]:
    """Read a comma-separated list of `key=value`; spaces around either are dropped."""
    found = {}
    for word in words(name, default):
        key, equals, value = (part.strip() for part in word.partition("="))
        if not (key and equals and value):
            raise refuse(name, word, "write key=value pairs, separated by commas")
        found[key] = value
    return found


def order(name: str, default: str) -> list[str]:
    """Read words of the default in another order; those that are not named come last, in the default's order."""
    accepted = [word.strip() for word in default.split(",")]
    chosen = words(name, default)
    for place, word in enumerate(chosen):
        if word not in accepted:
            raise refuse(name, word, f"it must be one of {', '.join(accepted)}")
        if word in chosen[:place]:
            raise refuse(name, word, "name each only once")
    return [*chosen, *(word for word in accepted if word not in chosen)]


def choice(name: str, default: str, accepted: tuple[str, ...]) -> str:
    value = plain(name, default)
    if value not in accepted:
        raise refuse(name, value, f"it must be one of {', '.join(accepted)}")
    return value


def url(name: str, default: str, schemes: tuple[str, ...], fault: Callable[[str], str] = lambda _url: "") -> str:
    """Read a URL with one of `schemes`, or the default when unset (which may be empty). The error for an invalid URL
    shows at most a well-known scheme: the rest may contain a password. `fault` says what else is wrong, or ""."""
    value = plain(name, default)
    if value and (found := fault(checked(name, value, schemes))):
        raise ImproperlyConfigured(f"{name} cannot be used: {found}.")
    return value


def checked(name: str, value: str, schemes: tuple[str, ...]) -> str:
    """Return the value of a variable that is such a URL. Raises ImproperlyConfigured."""
    scheme, colon, rest = value.partition("://")
    if not colon or scheme.lower() not in schemes:
        shown = f"={f'{scheme}:…'!r}" if scheme.lower() in KNOWN_SCHEMES else ""
        wanted = " or ".join(f"{accepted}://" for accepted in schemes)
        raise ImproperlyConfigured(f"{name}{shown} cannot be used: the URL must start with {wanted}.")
    if not _is_well_formed(scheme.lower(), rest) or not _can_be_split(value):
        raise ImproperlyConfigured(
            f"{name} cannot be used: it is not a URL such as {scheme}://user:password@host:port/name. In a user name "
            "or password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25."
        )
    return value


def hosts(name: str) -> list[str]:
    """Read a comma-separated list of `host`, `host:port` or `scheme://host:port`. Returns each in lower case, with
    international names as name servers have them, and IPv6 addresses in brackets."""
    return [_host(name, word) for word in words(name)]


def certificate_file(name: str, *, or_else: str) -> str:
    """Read the path of a PEM file of certificate authorities from `name`, or from another variable if that is unset;
    "" if both are."""
    name = name if plain(name) else or_else
    path = plain(name)
    try:
        if path:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:  # also what OpenSSL says to a file without certificates
        raise refuse(name, path, "it must be the path of a readable PEM file with certificates") from None
    return path


def _host(name: str, word: str) -> str:
    wanted = "write hosts as gateway.example.com, gateway.example.com:8443, 127.0.0.1:8790 or [::1]:8790"
    scheme, separator, rest = word.lower().rpartition("://")
    host, colon, port = (
        (rest, "", "") if rest.endswith("]") else rest.rpartition(":") if ":" in rest else (rest, "", "")
    )
    try:
        host = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise refuse(name, word, wanted) from None
    found = _HOST.fullmatch(f"{scheme}{separator}{host}{colon}{port}")
    if found is None or not 0 < int(found["port"] or 1) <= MAX_PORT:
        # The part before an @ may be a password.
        raise refuse(name, f"…@{word.rpartition('@')[2]}" if "@" in word else word, wanted)
    host = found["host"].rstrip(".")
    _check_host(name, word, host)
    return f"{scheme}{separator}{host}{colon}{port}"


def _check_host(name: str, word: str, host: str) -> None:
    """Refuse an invalid address, which would never match a call."""
    is_address = host.startswith("[") or re.fullmatch(r"(.*\.)?([0-9]+|0x[0-9a-f]*)", host)
    try:
        ipaddress.ip_address(host.strip("[]") if is_address else "::1")
    except ValueError:
        raise refuse(name, word, f"{host} is not an address") from None


def _is_well_formed(scheme: str, rest: str) -> bool:
    """Whether the part after `scheme://` is unambiguous."""
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    path = rest[len(authority) :]
    if "#" in path:
        return False
    if scheme == "sqlite":
        return True
    login, at, hosts = authority.rpartition("@")
    if "@" in path and (scheme != "unix" or ":" in authority):
        return False
    is_mongo = scheme.startswith("mongodb")
    if is_mongo and ("@" in login or login.count(":") > 1 or re.search(r"%(?![0-9a-fA-F]{2})", login)):
        return False
    has_many = is_mongo or scheme.endswith("+sentinel")
    may_be_empty = scheme in ("unix", "mysql") or (not at and not has_many)
    return all(_is_host(host) or (not host and may_be_empty) for host in (hosts.split(",") if has_many else [hosts]))


def _is_host(host: str) -> bool:
    """Whether the text is a name or an address, with an optional port."""
    match = re.fullmatch(r"(?:\[[0-9a-fA-F:.%]+\]|[^\s:\[\]@]+)(?::([0-9]{1,5}))?", host)
    return match is not None and (match[1] is None or 0 < int(match[1]) <= MAX_PORT)


def _can_be_split(value: str) -> bool:
    try:
        urlsplit(value)
    except ValueError:
        return False
    return True


def zone(name: str, default: str) -> str:
    value = plain(name, default)
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError):
        raise refuse(name, value, "write an IANA zone such as Asia/Shanghai") from None
    return value


def daily_window(name: str, default: str) -> str:
    """Read a daily window such as `08:00-23:00`, or `off`."""
    value = plain(name, default)
    if value != "off" and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", value):
        raise refuse(name, value, "write a window as 08:00-23:00, or off")
    return value


def fernet_keys(name: str) -> list[str]:
    """Read Fernet keys, newest first. The first encrypts, all of them decrypt.

    Raises ImproperlyConfigured without repeating a key.
    """
    keys = words(name)
    if not keys:
        raise ImproperlyConfigured(
            f"{name} is not set: ./push.sh setup writes one to .env, or make one with "
            "`python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'`"
        )
    for position, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError:
            raise ImproperlyConfigured(
                f"{name}: key number {position} is not a Fernet key (32 bytes in URL-safe base64)"
            ) from None
    return keys
