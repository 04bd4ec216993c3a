"""The collection of groups."""

from collections.abc import Collection, Iterable
from typing import Any

from chatscan.mongo.connection import CODEC, Client, create_index_command, projection, translated


class GroupStore:
    """The groups' collection."""

    def __init__(self, client: Client, database: str, collection: str, id_field: str) -> None:
        self.name, self._id = f"{database}.{collection}", id_field
        self._collection = client[database].get_collection(collection, codec_options=CODEC)
        self._timeout_ms = int((client.options.server_selection_timeout or 10) * 1000)

    def find(self, group_ids: Collection[str], fields: Iterable[str]) -> list[dict[str, Any]]:
        """The groups with these ids, whether they are stored as text or as numbers."""
        numbers = [int(group_id) for group_id in group_ids if group_id.isascii() and group_id.isdecimal()]
        wanted = [*group_ids, *(number for number in numbers if number < 2**63)]
        condition = {self._id: {"$in": wanted}}
        with translated(self.name):
            return list(self._collection.find(condition, projection(fields), max_time_ms=self._timeout_ms))

    def index_advice(self) -> str:
        """The command for an index on the group id, if there is none; else ""."""
        with translated(self.name):
            keys = [next(iter(spec["key"])) for spec in self._collection.list_indexes()]
        return "" if self._id in keys else create_index_command(self.name, {self._id: 1})
