"""Typed readers for the process environment.

Each reader either returns a usable value or raises `ImproperlyConfigured` with a message that names
the variable, the value it had and what would be accepted. A `.env` file in the project's root is
read first; variables that are already set win over it.
"""

import ipaddress
import os
import re
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off"}
_HOST = re.compile(
    r"(?P<scheme>https?://)?(?P<host>\[[0-9a-f:.]+\]|[0-9a-z_-]+(?:\.[0-9a-z_-]+)*\.?)(?::(?P<port>[0-9]{1,5}))?"
)

environ.Env.read_env(os.environ.get("ENV_FILE", str(BASE_DIR / ".env")))


def refuse(name: str, value: str, wanted: str) -> ImproperlyConfigured:
    """The error for a variable whose value cannot be used."""
    return ImproperlyConfigured(f"{name}={value!r} cannot be used: {wanted}.")


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def required(name: str, hint: str) -> str:
    value = text(name)
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: {hint}")
    return value


def integer(name: str, default: int, *, least: int = 0, most: int = 2**31) -> int:
    value = text(name, str(default))
    try:
        number = int(value)
    except ValueError:
        raise refuse(name, value, "a whole number is needed") from None
    if not least <= number <= most:
        raise refuse(name, value, f"it must lie between {least} and {most}")
    return number


def number(name: str, default: float, *, least: float = 0.0) -> float:
    value = text(name, str(default))
    try:
        parsed = float(value)
    except ValueError:
        raise refuse(name, value, "a number is needed") from None
    if not parsed >= least or parsed == float("inf"):
        raise refuse(name, value, f"it must be at least {least}")
    return parsed


def boolean(name: str, default: bool) -> bool:
    value = text(name, "on" if default else "off").lower()
    if value in TRUE_WORDS:
        return True
    if value in FALSE_WORDS:
        return False
    raise refuse(name, value, "write on or off")


def words(name: str, default: str = "") -> list[str]:
    """A comma-separated list; blanks are dropped."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def pairs(name: str, default: str = "") -> dict[str, str]:
    """A comma-separated list of `key=value`; blanks around either are dropped."""
    found = {}
    for word in words(name, default):
        key, equals, value = (part.strip() for part in word.partition("="))
        if not (key and equals and value):
            raise refuse(name, word, "write key=value pairs, separated by commas")
        found[key] = value
    return found


def choice(name: str, default: str, accepted: tuple[str, ...]) -> str:
    value = text(name, default)
    if value not in accepted:
        raise refuse(name, value, f"it must be one of {', '.join(accepted)}")
    return value


def url(name: str, default: str, schemes: tuple[str, ...]) -> str:
    """An URL with one of `schemes`, or the default when unset (which may be empty)."""
    value = text(name, default)
    if value and urlsplit(value).scheme not in schemes:
        # The value may hold a password, so only its scheme is repeated.
        shown = f"{urlsplit(value).scheme}:…"
        raise refuse(name, shown, f"the URL must start with {' or '.join(s + '://' for s in schemes)}")
    return value


def hosts(name: str) -> list[str]:
    """A comma-separated list of `host`, `host:port` or `scheme://host:port`, each in lower case, an international name
    as name servers have it, and an IPv6 address in brackets."""
    return [_host(name, word) for word in words(name)]


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
    if found is None or not 0 < int(found["port"] or 1) <= 65_535:
        # What stands before an @ may be a password.
        raise refuse(name, f"…@{word.rpartition('@')[2]}" if "@" in word else word, wanted)
    host = found["host"].rstrip(".")
    _check_host(name, word, host)
    return f"{scheme}{separator}{host}{colon}{port}"


def _check_host(name: str, word: str, host: str) -> None:
    """An address that is none would never be met by a call."""
    is_address = host.startswith("[") or re.fullmatch(r"[0-9.]+", host)
    try:
        ipaddress.ip_address(host.strip("[]") if is_address else "::1")
    except ValueError:
        raise refuse(name, word, f"{host} is not an address") from None


def zone(name: str, default: str) -> str:
    value = text(name, default)
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError):
        raise refuse(name, value, "an IANA zone such as Asia/Shanghai is needed") from None
    return value


def daily_window(name: str, default: str) -> str:
    """A daily window such as `08:00-23:00`, or `off`."""
    value = text(name, default)
    if value != "off" and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", value):
        raise refuse(name, value, "write a window as 08:00-23:00, or off")
    return value


def fernet_keys(name: str) -> list[str]:
    """Fernet keys, newest first. The first encrypts, all of them decrypt.

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
                f"{name}: key number {position} is no Fernet key (32 bytes in URL-safe base64)"
            ) from None
    return keys


def database(name: str, default: str) -> dict[str, object]:
    """Django's connection settings for `sqlite:///path` or `mysql://user:password@host:port/name`."""
    value = url(name, default, ("sqlite", "mysql"))
    config: dict[str, object] = dict(environ.Env.db_url_config(value))
    config["CONN_MAX_AGE"] = None
    config["CONN_HEALTH_CHECKS"] = True
    if urlsplit(value).scheme == "sqlite":
        config["OPTIONS"] = {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
        return config
    config["ENGINE"] = "higo_push.mariadb"
    config["OPTIONS"] = {
        "charset": "utf8mb4",
        "isolation_level": "read committed",
        "init_command": "SET sql_mode='STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout=20",
    }
    config["TEST"] = {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_bin"}
    return config


def foreign_database(name: str) -> dict[str, object]:
    """Connection settings for a database that is not ours: opened for reading only, left as it is, and never
    waited for as long as our own."""
    value = url(name, "", ("sqlite", "mysql"))
    config: dict[str, object] = dict(environ.Env.db_url_config(value))
    config["CONN_MAX_AGE"] = None
    config["CONN_HEALTH_CHECKS"] = True
    if urlsplit(value).scheme == "sqlite":
        # mode=ro also keeps a missing file from being made, empty, on the first look.
        config["NAME"] = f"{Path(str(config['NAME'])).resolve().as_uri()}?mode=ro"
        config["OPTIONS"] = {"timeout": 5}
        return config
    config["OPTIONS"] = {
        "charset": "utf8mb4",
        "isolation_level": "read committed",
        "init_command": "SET SESSION TRANSACTION READ ONLY",
        "connect_timeout": 5,
        "read_timeout": 15,
    }
    return config
