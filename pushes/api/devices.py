"""PUT and DELETE /devices/{token}."""

from typing import Any

from django.http import HttpResponse

from pushes.api.endpoint import Call, answer, no_content
from pushes.api.errors import ApiError, invalid, not_found
from pushes.api.fields import object_of, text
from pushes.inbound.orders import shown
from pushes.models import Device
from pushes.names import ACCEPTED_PLATFORMS, App, DeviceEventKind, Environment, platform_of
from pushes.people import devices, tags
from pushes.text.notes import Note
from pushes.text.sentences import Sentence

MAX_BODY = 4 * 1024
FIELDS = ("account_id", "app", "platform", "environment", "channel", "installation_id", "tags")


def register(call: Call, token: str) -> HttpResponse:
    """Register the token for this account."""
    body = object_of(call.body, FIELDS)
    account_id = body.get("account_id")
    if isinstance(account_id, int) and not isinstance(account_id, bool):
        account_id = str(account_id)
    try:
        device, event = devices.register(
            text({**body, "account_id": account_id}, "account_id"),
            _app(text(body, "app")),
            platform_of(text(body, "platform")),
            _environment(text(body, "environment", default=Environment.PRODUCTION)),
            token,
            channel=_optional(body, "channel"),
            installation_id=_optional(body, "installation_id"),
            wanted_tags=_tags(body),
        )
    except tags.InvalidTagError as error:
        raise invalid("tags", f"{error}.") from None
    except devices.InvalidDeviceError as error:
        raise invalid(error.field, f"{error}.") from None
    except ValueError:
        raise invalid(
            "platform", f"{body['platform']!r:.60} is not a valid platform; accepted: {', '.join(ACCEPTED_PLATFORMS)}."
        ) from None
    return answer(201 if event == DeviceEventKind.REGISTERED else 200, _shown(device))


def remove(call: Call, token: str) -> HttpResponse:
    """Stop pushing to this token, in one app or (without `?app=`) in both."""
    found = Device.objects.filter(devices.meant_by(token))
    if app := call.request.GET.get("app"):
        found = found.filter(app=_app(app, status=400))
    ids = list(found.values_list("pk", flat=True))
    if not ids:
        raise not_found("device")
    name = call.token.name if call.token else ""
    devices.deactivate(ids, None, Note(Sentence.REMOVED_BY_API, token=name))
    return no_content()


def _optional(body: dict[str, Any], name: str) -> str:
    """Return a text that need not be given; "" where it is missing or null."""
    return "" if body.get(name) is None else text(body, name)


def _tags(body: dict[str, Any]) -> list[str] | None:
    """Return the given tags; None when there are none: the device keeps its tags."""
    given = body.get("tags")
    if given is None:
        return None
    if not isinstance(given, list):
        raise invalid("tags", f"{shown(given)} is not a list of tags.")
    for tag in given:
        if not isinstance(tag, str):
            raise invalid("tags", f"{shown(tag)} is not a string.")
    return given


def _app(value: str, *, status: int = 422) -> App:
    if value not in App.values:
        raise ApiError(
            status, "invalid", f"{value!r:.60} is not a valid app; accepted: {', '.join(App.values)}.", field="app"
        )
    return App(value)


def _environment(value: str) -> Environment:
    if value not in Environment.values:
        raise invalid(
            "environment", f"{value!r:.60} is not a valid environment; accepted: {', '.join(Environment.values)}."
        )
    return Environment(value)


def _shown(device: Device) -> dict[str, object]:
    return {
        "token": device.masked_token,
        "account_id": device.account_id,
        "app": device.app,
        "platform": device.platform,
        "environment": device.environment,
        "channel": device.channel,
        "installation_id": device.installation_id or None,
        "is_active": device.is_active,
        "tags": tags.of_device(device.pk),
    }
