"""Which channel a device belongs to when nobody says so, and which channel a delivery took."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pushes.models import AppKey, DeliveryResult, Device
from pushes.names import DEFAULT_CHANNEL, PLATFORMS, WITH_ACCESS_IDS, App, Channel, Environment, Platform


class ChannelError(ValueError):
    """A channel that is missing or cannot be used. The message says what is accepted."""


@dataclass(frozen=True, slots=True)
class Known:
    """The channels for which there are app keys, by app, platform and environment."""

    of_keys: Mapping[tuple[str, str, str], tuple[Channel, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls) -> "Known":
        found: dict[tuple[str, str, str], list[Channel]] = defaultdict(list)
        for app, platform, environment, channel in AppKey.objects.values_list(
            "app", "platform", "environment", "channel"
        ):
            found[app, platform, environment].append(Channel(channel))
        return cls({scope: tuple(channels) for scope, channels in found.items()})

    def fitting(self, app: App, platform: Platform, environment: Environment) -> tuple[Channel, ...]:
        """Return the channels that may be meant where none is said, enabled keys or not."""
        return self.of_keys.get((app, platform, environment), ())


def meant(fitting: Sequence[Channel], platform: Platform) -> Channel:
    """Return the channel of a device of which none is said. Raises ChannelError when it could be any of several.

    Apps from before there were channels do not name theirs: so beside others it is the one that they know.
    """
    if not fitting:
        return Channel.HUAWEI if platform == Platform.HARMONY else DEFAULT_CHANNEL
    if len(fitting) == 1:
        return fitting[0]
    if old := next((channel for channel in WITH_ACCESS_IDS if channel in fitting), None):
        return old
    raise ChannelError(f"it must be said, because several app keys fit: {', '.join(sorted(fitting))}")


def named(text: str, platform: Platform) -> Channel:
    """Return the channel with this name, which must issue tokens on `platform`. Raises ChannelError."""
    accepted = [channel for channel in Channel if platform in PLATFORMS[channel]]
    found = next((channel for channel in accepted if channel == text.strip().lower()), None)
    if found is None:
        raise ChannelError(f"must be one of {', '.join(accepted)} for {platform}")
    return found


def of_deliveries(rows: Iterable[DeliveryResult]) -> dict[int, str]:
    """Return the channels of deliveries by their ids: those of their keys; without one, those of their devices, as far
    as they are in our table. In at most two queries."""
    listed = list(rows)
    of_keys: dict[int | None, str] = dict(AppKey.objects.values_list("pk", "channel")) if listed else {}
    others = {row.device_id for row in listed if row.app_key_id not in of_keys and row.device_id is not None}
    of_devices: dict[int | None, str] = {}
    if others:
        of_devices.update(Device.objects.filter(pk__among=others).values_list("pk", "channel"))
    found = {row.pk: of_keys.get(row.app_key_id) or of_devices.get(row.device_id) for row in listed}
    return {pk: channel for pk, channel in found.items() if channel}
