"""The dead letter of a chat document that cannot be pushed: what of it may be kept, and under which position."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from chatscan.messages import documents
from chatscan.messages.config import FULL, HIDDEN, ScanConfig
from chatscan.messages.documents import Refuse
from chatscan.mongo import bson_text
from pushes import submit

#: Bytes of a document that a dead letter keeps; the whole of it is still in MongoDB.
MAX_BYTES = 65_536
MAX_POSITION = 100


def keep(kind: str, identity: str, kept: Mapping[str, Any], refuse: Refuse) -> None:
    """Store the letter. The same document twice is one letter."""
    position = f"{kind}:{identity}"
    if len(position) > MAX_POSITION:
        position = f"{kind}:{blake2b(identity.encode(), digest_size=16).hexdigest()}"
    submit.dead_letter(kind, position, bson_text.raw(kept, MAX_BYTES), refuse.reason.value, refuse.detail)


def kept(document: Mapping[str, Any], config: ScanConfig) -> Mapping[str, Any]:
    """What a letter may keep: the text only if CHAT_PRIVACY lets it be stored, and never megabytes."""
    fields, privacy = config.fields, config.privacy
    name = fields.data.split(".")[0]
    if privacy != FULL:
        without_text = {**document, name: f"(not kept: CHAT_PRIVACY={privacy})"}
        return without_text if privacy != HIDDEN else documents.without(without_text, fields.sender_name)
    data = document.get(name)
    if isinstance(data, Mapping):
        return {**document, name: {key: _cut(value) for key, value in data.items()}}
    return {**document, name: _cut(data)}


def _cut(value: Any) -> Any:
    return value[:MAX_BYTES] if isinstance(value, str | bytes) else value
