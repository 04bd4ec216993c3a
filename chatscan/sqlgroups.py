"""Groups from an existing SQL schema: the second database of `pushes.people.sql_source`, and two configured queries."""

from collections import defaultdict
from collections.abc import Collection

from chatscan.groups import Group
from chatscan.messages.documents import clean_name
from chatscan.mongo.connection import Client
from pushes.names import App
from pushes.people import sql_source
from pushes.people.sql_source import Query, Row, text
from pushes.text import ids

GROUPS = Query("CHAT_GROUPS_SQL", ("ids",), ("group_id", "name", "owner_id"))
MEMBERS = Query("CHAT_GROUP_MEMBERS_SQL", ("ids",), ("group_id", "account_id"))


class SqlGroups:
    """A group directory (see `chatscan.groups`). Raises pushes.people.directory.DirectoryError while the database is
    away; the scanner then stays where it is and tries again."""

    def __init__(self, _client: Client) -> None:
        """Takes what every group directory is called with; MongoDB is not asked."""

    @staticmethod
    def check() -> list[str]:
        """What is wrong with the settings; empty when all is well."""
        problems = [] if sql_source.is_configured() else [sql_source.NO_DATABASE]
        return problems + sql_source.problems(GROUPS) + sql_source.problems(MEMBERS)

    def load(self, group_ids: Collection[str]) -> dict[str, Group]:
        if not group_ids:
            return {}
        rows = sql_source.ask(GROUPS, {"ids": list(group_ids)})
        if not rows:
            return {}
        members = _members([text(row["group_id"]) for row in rows])
        return {group.group_id: group for group in (_group(row, members) for row in rows)}

    def advice(self) -> str:
        """Indexes of a schema that is not ours are its owner's affair: docs/chat.md names the ones needed."""
        return ""


def _members(group_ids: list[str]) -> dict[str, dict[str, None]]:
    """The accounts of each group, once each and in the order of the rows."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for row in sql_source.ask(MEMBERS, {"ids": group_ids}):
        if account_id := ids.found(text(row["account_id"])):
            found[text(row["group_id"])][account_id] = None
    return found


def _group(row: Row, members: dict[str, dict[str, None]]) -> Group:
    group_id, app = text(row["group_id"]), text(row.get("app"))
    return Group(
        group_id=group_id,
        name=clean_name(text(row["name"]), 64),
        owner_id=ids.found(text(row["owner_id"])),
        app=App(app) if app in App.values else None,
        members=tuple(members.get(group_id, ())),
    )
