"""Decide which hosts provider calls may go to: the providers' own, the sandbox's, and those in PROVIDER_HOSTS.

An app key's endpoint receives every push with its token, and any key manager can enter one: so the machine's
administrator decides which hosts are allowed. A name is checked when a key is saved and before every call; the address
that it resolves to is checked whenever a connection is opened.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.utils.translation import gettext as _

from pushes.providers.registry import own_urls

#: Strict, so that libcurl cannot read a URL differently: no user, space, backslash or query.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[0-9a-z._-]+)(?::(?P<port>[0-9]{1,5}))?(?:/[!-\"$->@-\[\]-~]*)?",
    re.IGNORECASE,
)
_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65_535
#: Metadata addresses of clouds, which reveal a machine's secrets, besides the link-local addresses.
_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254")))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class HostRefusedError(ValueError):
    """A call to this address is not allowed; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Scheme, host name and port of a URL. In a rule, an empty scheme and port 0 match any."""

    scheme: str
    host: str
    port: int

    @property
    def address(self) -> Address | None:
        """The host, if it is an address and not a name."""
        return _address(self.host.strip("[]"))

    def allows(self, other: "Place") -> bool:
        return self.host == other.host and self.scheme in ("", other.scheme) and self.port in (0, other.port)


@dataclass(frozen=True, slots=True)
class Guard:
    """Checks an address before a connection to it is opened. `is_chosen`: the administrator has named the host; a
    provider's own host must be on the public internet, whatever a name server says."""

    place: Place
    is_chosen: bool

    def fault(self, address: str) -> str:
        """Return why no connection to `address` may be opened; "" when it may."""
        found = _address(address)
        if found is None or found == self.place.address:
            return "" if found else f"{address} is not an address"
        if all(self._is_fine(one) for one in (found, *_hidden(found))):
            return ""
        return f"{self.place.host} leads to {found}, which is not allowed for it"

    def _is_fine(self, address: Address) -> bool:
        if address.is_multicast or address.is_link_local or address.is_unspecified or address in _METADATA:
            return False
        return self.is_chosen or address.is_global


def guard(url: str) -> Guard:
    """Return the guard for the connections of a call to `url`. Raises HostRefusedError."""
    return _guard(url, _chosen())


def fault(url: str) -> str:
    """Return why no app key may have the endpoint `url`, in the reader's language; "" when it may."""
    try:
        guard(url)
    except HostRefusedError as error:
        return str(error)
    return ""


def place_of(url: str) -> Place:
    """Return the place of a URL. Raises HostRefusedError for anything but a plain http or https URL."""
    found = _URL.fullmatch(url)
    if found is None:
        raise HostRefusedError(_not_plain(url))
    scheme = found["scheme"].lower()
    port = int(found["port"] or _PORTS[scheme])
    if not 0 < port <= _MAX_PORT:
        raise HostRefusedError(_("%(port)s is not a valid port. Enter one between 1 and 65535.") % {"port": port})
    return Place(scheme, _name(found["host"]), port)


def ascii_url(url: str) -> str:
    """Return `url` with an international host name as name servers have it, for a form; other URLs unchanged."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if not separator or host.isascii() or "@" in host:
        return url
    name, colon, port = host.partition(":")
    try:
        return f"{scheme}://{name.encode('idna').decode()}{colon}{port}{slash}{path}"
    except UnicodeError:
        return url


@lru_cache(maxsize=256)
def _guard(url: str, chosen: tuple[Place, ...]) -> Guard:
    place = place_of(url)
    if any(rule.allows(place) for rule in chosen):
        return Guard(place, is_chosen=True)
    own = [place_of(one) for one in own_urls()]
    if place in own:
        return Guard(place, is_chosen=False)
    if any(one.host == place.host for one in (*own, *chosen)):
        words = {"scheme": place.scheme, "host": place.host, "port": place.port}
        raise HostRefusedError(
            _("Calls to %(host)s by %(scheme)s at port %(port)s are not allowed by PROVIDER_HOSTS.") % words
        )
    raise HostRefusedError(
        _("%(host)s is not a provider's own host, and PROVIDER_HOSTS does not name it.") % {"host": place.host}
    )


def _chosen() -> tuple[Place, ...]:
    return _read(settings.SANDBOX_URL, tuple(settings.PROVIDER_HOSTS))


@lru_cache(maxsize=8)
def _read(sandbox_url: str, listed: Iterable[str]) -> tuple[Place, ...]:
    rules = [_rule(entry) for entry in listed]
    try:
        return (place_of(sandbox_url), *rules)
    except HostRefusedError:
        return tuple(rules)


def _rule(entry: str) -> Place:
    """Read an entry of PROVIDER_HOSTS, normalised by the settings: [scheme://]host[:port]. Without a scheme it allows
    https, and plain http only where `_may_be_plain` does."""
    scheme, _separator, rest = entry.rpartition("://")
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest, "0"
    name = _name(host)
    return Place(scheme or ("" if _may_be_plain(name) else "https"), name, int(port))


def _may_be_plain(host: str) -> bool:
    """Whether plain http needs no explicit entry: to this machine, a private address, or a vendor's host without
    https."""
    address = _address(host.strip("[]"))
    is_inside = host == "localhost" or (address is not None and not address.is_global)
    return is_inside or any(place_of(url).host == host for url in own_urls() if url.startswith("http:"))


def _name(host: str) -> str:
    """Normalise a host: lower case, no trailing dot, an IPv6 address in its short form."""
    name = host.lower().rstrip(".")
    address = _address(name.strip("[]"))
    return f"[{address}]" if isinstance(address, ipaddress.IPv6Address) else name


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _hidden(address: Address) -> list[Address]:
    """Return the IPv4 addresses that an IPv6 address embeds."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    inside = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else None
    teredo = address.teredo
    found = (address.ipv4_mapped, address.sixtofour, inside, teredo[1] if teredo else None)
    return [one for one in found if one is not None]


def _not_plain(url: str) -> str:
    if "@" in url.partition("://")[2].partition("/")[0]:
        return _("An endpoint URL must not contain a user name or a password. Remove them.")
    shown = "".join(letter if letter.isprintable() else "�" for letter in url[:80])
    return _(
        "%(url)s is not a valid endpoint URL. Enter http:// or https://, a host, and optionally a port and a path."
    ) % {"url": repr(shown)}
