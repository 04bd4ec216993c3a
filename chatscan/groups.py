"""Look up the members of groups, in bulk, with a cache of a few seconds."""

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from chatscan.messages import config
from chatscan.messages.documents import account_id, at, clean_name, json_value
from chatscan.mongo.connection import Client, database_of
from chatscan.mongo.groups import GroupStore
from pushes.names import App
from pushes.text.notes import Note
from pushes.text.sentences import Sentence

#: The size of the cache; with 10,000 members per group this is about 100 MB at worst.
CACHE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Group:
    """One chat group. `app` is None when the directory does not name one."""

    group_id: str
    name: str
    owner_id: str
    app: App | None
    members: tuple[str, ...]


class GroupDirectory(Protocol):
    """The interface of the class in CHAT_GROUP_DIRECTORY, which is called with the chat database's client."""

    def load(self, group_ids: Collection[str]) -> dict[str, Group]:
        """Return the groups that exist, by id, with one query for all."""

    def advice(self) -> str:
        """Return advice for the operator; "" if there is none."""


class MongoGroups:
    """Groups from a MongoDB collection. Raises ChatStoreError."""

    def __init__(self, client: Client) -> None:
        self._fields = config.group_fields()
        database = database_of(settings.MONGO_URL, settings.CHAT_GROUPS_DATABASE or settings.CHAT_DATABASE)
        self._store = GroupStore(client, database, settings.CHAT_GROUPS_COLLECTION, self._fields.group_id)

    def load(self, group_ids: Collection[str]) -> dict[str, Group]:
        documents = self._store.find(group_ids, self._fields.top_fields)
        return {group.group_id: group for group in map(self._group, documents)}

    def advice(self) -> str:
        command = self._store.index_advice()
        return Note(Sentence.NO_GROUP_INDEX, name=self._store.name, command=command) if command else ""

    def _group(self, document: Mapping[str, Any]) -> Group:
        fields = self._fields
        app = at(document, fields.app)
        ids = members_of(at(document, fields.members), fields.member_id)
        return Group(
            group_id=account_id(at(document, fields.group_id)),
            name=clean_name(at(document, fields.name), 64),
            owner_id=account_id(at(document, fields.owner_id)),
            app=App(app) if app in App.values else None,
            members=tuple(dict.fromkeys(member for member in ids if member)),
        )


def members_of(members: object, id_path: str) -> Iterator[str]:
    """Return the account ids of a group's members, "" for a member without one.

    Members are a list of ids, a list of objects with the id at `id_path`, or a map: from ids to any value (`false` and
    `null`: no longer a member), or from any key to such objects. Each form may be JSON text.
    """
    members = json_value(members, "[{")
    if isinstance(members, Mapping):
        if account_id(at(members, id_path)):
            members = [members]
        else:
            yield from (
                _id_of(value, id_path) or account_id(str(key)) for key, value in members.items() if _is_in(value)
            )
            return
    if isinstance(members, list):
        yield from (_id_of(member, id_path) or account_id(member) for member in members)


def _id_of(member: object, id_path: str) -> str:
    return account_id(at(member, id_path)) if isinstance(member, Mapping) else ""


def _is_in(value: object) -> bool:
    return value is not None and value is not False


class CachedGroups:
    """A cache in front of a directory, which keeps each group for a while. Unknown groups are not cached."""

    def __init__(self, directory: GroupDirectory, seconds: float) -> None:
        self._directory, self._seconds = directory, seconds
        self._kept: dict[str, tuple[float, Group]] = {}

    def load(self, group_ids: Collection[str]) -> dict[str, Group]:
        now = time.monotonic()
        fresh = {key: kept[1] for key in group_ids if (kept := self._kept.get(key)) and kept[0] > now}
        wanted = set(group_ids) - set(fresh)
        if not wanted:
            return fresh
        found = self._directory.load(wanted)
        self._keep(found, now)
        return fresh | found

    def advice(self) -> str:
        return self._directory.advice()

    def _keep(self, found: Mapping[str, Group], now: float) -> None:
        kept = {key: pair for key, pair in self._kept.items() if pair[0] > now}
        kept |= {key: (now + self._seconds, group) for key, group in found.items()}
        self._kept = dict(list(kept.items())[-CACHE_SIZE:])


def group_directory(client: Client) -> GroupDirectory:
    """Return the configured directory, with its cache."""
    return CachedGroups(import_string(settings.CHAT_GROUP_DIRECTORY)(client), settings.CHAT_GROUP_CACHE_SECONDS)
