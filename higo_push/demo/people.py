"""Who the demo is about: people, their phones and their groups. Pure data; everything here is made up."""

from dataclasses import dataclass
from hashlib import sha1

from pushes.names import App, Environment, Platform

#: Made-up access ids: they open nothing but the sandbox.
ACCESS_IDS = {
    (App.HIGO, Platform.ANDROID): 2_100_000_001,
    (App.HIGO, Platform.IOS): 2_200_000_001,
    (App.HIGIRL, Platform.ANDROID): 2_100_000_002,
    (App.HIGIRL, Platform.IOS): 2_200_000_002,
}


@dataclass(frozen=True, slots=True)
class Phone:
    """One installation of an app."""

    token: str
    app: App = App.HIGO
    platform: Platform = Platform.ANDROID
    environment: Environment = Environment.PRODUCTION
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Person:
    """An account. `mutes` are conversations, as the platform names them."""

    account_id: str
    name: str
    phones: tuple[Phone, ...] = ()
    is_logged_in: bool = True
    accepts_pushes: bool = True
    is_online: bool = False
    mutes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    group_id: str
    name: str
    owner_id: str
    members: tuple[str, ...]
    app: App = App.HIGO


def android(owner: str, app: App = App.HIGO, *, is_active: bool = True) -> Phone:
    """A phone with a token as Xinge's Android SDK makes them: 40 hex digits."""
    return Phone(sha1(f"{app} android {owner}".encode()).hexdigest(), app, is_active=is_active)


def iphone(owner: str, app: App = App.HIGO, environment: Environment = Environment.PRODUCTION) -> Phone:
    """A phone with a token as APNs makes them: 64 hex digits."""
    words = (sha1(f"{app} ios {part} {owner}".encode()).hexdigest() for part in range(2))
    return Phone("".join(words)[:64], app, Platform.IOS, environment)
