"""The demo's people, with their phones and groups. Pure data; all of it is invented."""

from dataclasses import dataclass
from hashlib import sha1

from pushes.names import DEFAULT_CHANNEL, App, Channel, Environment, Platform
from pushes.sandbox import sample_keys

#: Made-up names of app keys: they open nothing but the sandbox.
ACCESS_IDS = {
    (App.HIGO, Platform.ANDROID, DEFAULT_CHANNEL): "2100000001",
    (App.HIGO, Platform.IOS, DEFAULT_CHANNEL): "2200000001",
    (App.HIGIRL, Platform.ANDROID, DEFAULT_CHANNEL): "2100000002",
    (App.HIGIRL, Platform.IOS, DEFAULT_CHANNEL): "2200000002",
    (App.HIGO, Platform.IOS, Channel.APNS): sample_keys.KEY_ID,
    (App.HIGO, Platform.ANDROID, Channel.FCM): sample_keys.PROJECT,
    (App.HIGO, Platform.ANDROID, Channel.JPUSH): sample_keys.APP_KEY,
    (App.HIGO, Platform.HARMONY, Channel.HUAWEI): sample_keys.HARMONY_PROJECT,
    (App.HIGO, Platform.ANDROID, Channel.HUAWEI): sample_keys.APP_ID,
}


@dataclass(frozen=True, slots=True)
class Phone:
    """One installation of an app."""

    token: str
    app: App = App.HIGO
    platform: Platform = Platform.ANDROID
    environment: Environment = Environment.PRODUCTION
    is_active: bool = True
    channel: Channel = DEFAULT_CHANNEL

    @property
    def key(self) -> tuple[App, Platform, Channel]:
        """What decides which app key pushes to it, besides the environment."""
        return self.app, self.platform, self.channel


@dataclass(frozen=True, slots=True)
class Person:
    """An account. `mutes` are conversations under the platform's names."""

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
    """A phone with a token in the form of Xinge's Android SDK: 40 hex digits."""
    return Phone(sha1(f"{app} android {owner}".encode()).hexdigest(), app, is_active=is_active)


def iphone(owner: str, app: App = App.HIGO, environment: Environment = Environment.PRODUCTION) -> Phone:
    """A phone with a token in the form of APNs: 64 hex digits."""
    words = (sha1(f"{app} ios {part} {owner}".encode()).hexdigest() for part in range(2))
    return Phone("".join(words)[:64], app, Platform.IOS, environment)


def on_every_channel(owner: str) -> tuple[Phone, ...]:
    """One phone for each channel and platform besides the default one."""
    return tuple(
        Phone(_token(owner, platform, channel), app, platform, channel=channel)
        for app, platform, channel in ACCESS_IDS
        if channel != DEFAULT_CHANNEL
    )


def _token(owner: str, platform: Platform, channel: Channel) -> str:
    """64 hex digits are a token to every vendor; JPush's ids are short."""
    words = "".join(sha1(f"{channel} {platform} {part} {owner}".encode()).hexdigest() for part in range(2))
    return words[:19] if channel == Channel.JPUSH else words[:64]
