"""JSON Schemas of the API's requests and answers, by topic."""

from typing import Any

from pushes.names import (
    MAX_INSTALLATION,
    MAX_WORD,
    App,
    Channel,
    Environment,
    Kind,
    MessageClass,
    Platform,
    PushType,
    Reason,
    RecordStatus,
    Status,
)
from pushes.people import tags
from pushes.people.mutes import MAX_ENTRIES
from pushes.text import presentation
from pushes.text.device_tokens import MIN_INSTALLATION

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
STATUS_FLAG: Schema = {"type": "integer", "enum": [0, 1]}
ACCOUNT_ID: Schema = {"type": ["string", "integer"]}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def closed(properties: Schema, required: tuple[str, ...] | None = None) -> Schema:
    """Return an object schema without further properties. Without `required`, all properties are required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties if required is None else required),
        "additionalProperties": False,
    }


def or_null(schema: Schema) -> Schema:
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": [*types, "null"]}


def entries(items: Schema) -> Schema:
    return {"type": "array", "items": items, "maxItems": MAX_ENTRIES}


def one_of(values: Any) -> Schema:
    return {"type": "string", "enum": list(values)}


def one_of_or_null(values: Any) -> Schema:
    return {"type": ["string", "null"], "enum": [*values, None]}


#: The format of every refusal.
ERRORS: dict[str, Schema] = {
    "Error": closed({"error": ref("Problem")}),
    "Problem": closed({"code": TEXT, "message": TEXT, "field": TEXT}, ("code", "message")),
}
#: How a push looks: each field may be missing, null or "".
_WORD: Schema = {"type": ["string", "integer", "null"], "maxLength": MAX_WORD, "pattern": "^[A-Za-z0-9._-]*$"}
PRESENTATION: dict[str, Schema] = {
    "subtitle": {"type": ["string", "integer", "null"], "maxLength": presentation.MAX_SUBTITLE},
    "link": {
        "type": ["string", "null"],
        "maxLength": presentation.MAX_ADDRESS,
        "description": "What a tap opens: an https address, or the app's own link.",
    },
    "image": {
        "type": ["string", "null"],
        "maxLength": presentation.MAX_ADDRESS,
        "pattern": "^(|[Hh][Tt][Tt][Pp][Ss]://.*)$",
        "description": "The https address of a picture.",
    },
    "sound": {**_WORD, "description": "A sound file of the app; default: that of the push type."},
    "badge": {
        "type": ["integer", "string", "null"],
        "minimum": 0,
        "maximum": presentation.MAX_BADGE,
        "description": "The number on the app's icon.",
    },
    "category": {
        **_WORD,
        "description": "The class of the message (" + ", ".join(MessageClass.values) + "), where it is another one "
        "than the push type's; a category of Huawei's; or the app's set of buttons on iPhones.",
    },
    "android_channel": {**_WORD, "description": "The app's notification channel; default: that of the push type."},
}
#: POST /pushes.
SUBMITTING: dict[str, Schema] = {
    "Push": closed(
        {
            "type": {
                "type": ["integer", "string", "null"],
                "enum": [*PushType.values, *map(str, PushType.values), None],
            },
            "to_id": {"oneOf": [ACCOUNT_ID, {"type": "array", "items": or_null(ACCOUNT_ID), "minItems": 1}]},
            "app": one_of(App.values),
            "via": one_of_or_null([*Platform.values, "iphone", "ipad"]),
            "title": {"type": ["string", "null"], "maxLength": 128},
            "message": TEXT,
            "data": {"type": ["object", "array", "null"]},
            "msg_id": {"type": ["string", "integer", "null"], "maxLength": 128},
            "expires_at": {
                "type": ["string", "number", "null"],
                "description": "ISO 8601, or Unix seconds or milliseconds. Limited to three days ahead.",
            },
            "ttl": {
                "type": ["string", "number", "null"],
                "description": "Seconds from acceptance, at most three days. Of ttl and expires_at the earlier counts.",
            },
            **PRESENTATION,
        },
        ("to_id", "app", "message"),
    ),
    "SubmitAnswer": {"oneOf": [ref("Accepted"), ref("SubmitList")]},
    "Accepted": closed({"status": one_of(("accepted", "duplicate")), "id": NUMBER}),
    "Refused": closed({"status": one_of(("error",)), "error": ref("Problem")}),
    "SubmitList": closed(
        {
            "results": {"type": "array", "items": {"oneOf": [ref("Accepted"), ref("Refused")]}},
            "counts": closed({"accepted": NUMBER, "duplicate": NUMBER, "error": NUMBER}),
        }
    ),
}
#: The results of a push.
PUSHES: dict[str, Schema] = {
    "PushState": closed(
        {
            "id": NUMBER,
            "kind": one_of(Kind.values),
            "type": {"type": "integer", "enum": list(PushType.values)},
            "app": one_of(App.values),
            "via": one_of_or_null(Platform.values),
            "source": TEXT,
            "msg_id": or_null(TEXT),
            "status": one_of(RecordStatus.values),
            "detail": or_null(TEXT),
            "recipients": NUMBER,
            "created_at": TIME,
            "distributed_at": or_null(TIME),
            "expires_at": TIME,
            "withdrawn_at": or_null(TIME),
            "deliveries": {
                "type": "object",
                "propertyNames": one_of(Status.values),
                "additionalProperties": NUMBER,
            },
        }
    ),
    "Withdrawal": closed(
        {
            "id": NUMBER,
            "status": one_of(RecordStatus.values),
            "withdrawn": {
                **NUMBER,
                "description": "Deliveries that will not be sent, and recipients that have no delivery yet.",
            },
            "already_sent": {**NUMBER, "description": "Deliveries already sent: accepted or unknown."},
            "under_way": {
                **NUMBER,
                "description": "Deliveries whose provider call is in flight. They are not retried.",
            },
        }
    ),
    "DeliveryPage": closed({"items": {"type": "array", "items": ref("Delivery")}, "next": or_null(NUMBER)}),
    "Delivery": closed(
        {
            "id": NUMBER,
            "account_id": TEXT,
            "platform": one_of_or_null(Platform.values),
            "environment": one_of_or_null(Environment.values),
            "channel": one_of_or_null(Channel.values),
            "token": {"type": ["string", "null"], "description": "Masked."},
            "status": one_of(Status.values),
            "reason": one_of_or_null(Reason.values),
            "attempts": NUMBER,
            "may_have_arrived": {
                "type": "boolean",
                "description": "The result of one attempt was unknown, whatever a later attempt returned.",
            },
            "http_status": or_null(NUMBER),
            "provider_code": {"type": ["integer", "string", "null"], "description": "A number where it is one."},
            "provider_text": or_null(TEXT),
            "provider_push_id": or_null(TEXT),
            "created_at": TIME,
            "due_at": or_null(TIME),
            "sent_at": or_null(TIME),
            "finished_at": or_null(TIME),
        }
    ),
}
DEVICES: dict[str, Schema] = {
    "Registration": closed(
        {
            "account_id": ACCOUNT_ID,
            "app": one_of(App.values),
            "platform": one_of([*Platform.values, "iphone", "ipad"]),
            "environment": {**one_of(Environment.values), "default": "production"},
            "channel": {
                **one_of_or_null(Channel.values),
                "description": "Null or omitted: the only one that has an app key, or the one that older apps mean.",
            },
            "installation_id": {
                "type": ["string", "null"],
                "minLength": MIN_INSTALLATION,
                "maxLength": MAX_INSTALLATION,
                "description": "The app's own random name of this installation, the same in all channels.",
            },
            "tags": {
                "type": ["array", "null"],
                "items": {"type": "string", "minLength": 1, "maxLength": tags.MAX_TAG},
                "maxItems": tags.MAX_TAGS,
                "description": "Replaces the device's tags; null or omitted: the tags stay unchanged.",
            },
        },
        ("account_id", "app", "platform"),
    ),
    "Device": closed(
        {
            "token": {"type": "string", "description": "Masked."},
            "account_id": TEXT,
            "app": one_of(App.values),
            "platform": one_of(Platform.values),
            "environment": one_of(Environment.values),
            "channel": one_of(Channel.values),
            "installation_id": or_null(TEXT),
            "is_active": BOOLEAN,
            "tags": {"type": "array", "items": TEXT},
        }
    ),
}
ACCOUNTS: dict[str, Schema] = {
    "AccountChange": closed(
        {"login_status": STATUS_FLAG, "push_status": STATUS_FLAG}
        | dict.fromkeys(("muted_conversations", "mute", "unmute"), entries(TEXT))
        | dict.fromkeys(("blocked_accounts", "block", "unblock"), entries(ACCOUNT_ID)),
        (),
    ),
    "Account": closed(
        {
            "account_id": TEXT,
            "login_status": STATUS_FLAG,
            "push_status": STATUS_FLAG,
            "muted_conversations": {"type": "array", "items": TEXT},
            "blocked_accounts": {"type": "array", "items": TEXT},
        }
    ),
    "PresenceChange": closed({"ttl_seconds": {"type": "integer", "minimum": 1, "maximum": 86_400, "default": 60}}, ()),
    "Presence": closed({"account_id": TEXT, "is_online": BOOLEAN, "ttl_seconds": NUMBER}),
}
PROBES: dict[str, Schema] = {
    "Health": closed({"status": TEXT}),
    "Readiness": closed(
        {
            "status": one_of(("ready", "not ready")),
            "checks": {
                "type": "object",
                "additionalProperties": closed({"ok": BOOLEAN, "ms": {"type": "number"}, "error": TEXT}, ("ok",)),
            },
        }
    ),
    "Document": {"type": "object"},
}
SCHEMAS = {**ERRORS, **SUBMITTING, **PUSHES, **DEVICES, **ACCOUNTS, **PROBES}
