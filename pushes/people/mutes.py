"""The muted conversations and blocked accounts of an account. The verdict reads them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction

from pushes.models import Account
from pushes.text import ids

MAX_ENTRIES = 2_000
MAX_CONVERSATION = 140
SHAPES = "group:<group id> or private:<account>:<account>"


class InvalidEntryError(ValueError):
    """An entry that cannot be used; the message names the value."""


@dataclass(frozen=True, slots=True)
class ListChange:
    """A change of a list: first it is replaced, then entries are added, then entries are removed."""

    replace: tuple[str, ...] | None = None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.replace is not None or bool(self.add or self.remove)

    def of(self, stored: Iterable[object]) -> list[str]:
        """Return the list after the change, each entry once. Raises InvalidEntryError when it becomes too long."""
        kept = dict.fromkeys(map(str, stored) if self.replace is None else self.replace)
        kept |= dict.fromkeys(self.add)
        found = [entry for entry in kept if entry not in self.remove]
        if len(found) > MAX_ENTRIES:
            raise InvalidEntryError(f"{len(found)} entries are too many; the maximum is {MAX_ENTRIES}")
        return found


def conversation(value: str) -> str:
    """Return the conversation under the name that the scanners use. Raises InvalidEntryError."""
    kind, _, rest = value.strip().partition(":")
    rest = rest.strip()
    if kind not in ("group", "private") or ids.fault(rest, most=len(value)):
        raise InvalidEntryError(f"{ids.shown(value)} is not a valid conversation: write it as {SHAPES}")
    if kind == "private":
        people = rest.split(":")
        if len(people) < 2 or not all(people):
            raise InvalidEntryError(f"{ids.shown(value)} names only one side: write it as {SHAPES}")
        # Both orders name the same conversation.
        rest = ":".join(sorted(map(account, people)) if len(people) == 2 else people)
    named = f"{kind}:{rest}"
    if len(named) > MAX_CONVERSATION:
        raise InvalidEntryError(f"{ids.shown(value)} is longer than {MAX_CONVERSATION} characters")
    return named


def account(value: str) -> str:
    """An account id. Raises InvalidEntryError."""
    try:
        return ids.account_id(value)
    except ids.InvalidIdError as error:
        raise InvalidEntryError(f"{error.shown} is not a valid account id: {error.reason}") from None


@transaction.atomic
def change(account_id: str, muted: ListChange, blocked: ListChange) -> Account:
    """Change both lists of an existing account; two simultaneous changes both take effect. Raises InvalidEntryError
    and Account.DoesNotExist."""
    row = Account.objects.select_for_update().get(pk=account_id)
    row.muted_conversations = muted.of(row.muted_conversations or ())
    row.blocked_accounts = blocked.of(row.blocked_accounts or ())
    row.save(update_fields=["muted_conversations", "blocked_accounts", "updated_at"])
    return row


def lists(row: Account) -> tuple[Sequence[str], Sequence[str]]:
    """Return the current muted conversations and blocked accounts, as text."""
    return list(map(str, row.muted_conversations or ())), list(map(str, row.blocked_accounts or ()))
