"""Muted conversations and blocked accounts: how entries are spelt, and how lists change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushes.models import Account
from pushes.people import mutes
from pushes.people.mutes import InvalidEntryError, ListChange, conversation
from pushes.text import ids
from tests.make import make_account

IDS = st.text(st.characters(categories=("Nd", "Ll", "Lo")), min_size=1, max_size=8).filter(
    lambda word: not ids.fault(word)
)


@given(IDS, IDS)
def test_both_directions_of_a_private_chat_are_one_conversation(one: str, other: str):
    assert conversation(f"private:{one}:{other}") == conversation(f" private:{other}:{one} ")


@given(st.lists(IDS), st.lists(IDS), st.lists(IDS))
def test_a_change_adds_and_removes_exactly_what_it_says(stored: list[str], add: list[str], remove: list[str]):
    after = ListChange(add=tuple(add), remove=tuple(remove)).of(stored)
    assert set(after) == (set(stored) | set(add)) - set(remove)
    assert len(after) == len(set(after))


def test_a_replaced_list_forgets_what_was_stored():
    assert ListChange(replace=("b", "a", "b"), add=("c",)).of(["z"]) == ["b", "a", "c"]


@pytest.mark.parametrize("value", ["", "group", "group: ", "room:7", "private:", "private:1:", "group:7\x00"])
def test_what_names_no_conversation_is_refused_with_its_value(value: str):
    with pytest.raises(InvalidEntryError, match=r"conversation|one side"):
        conversation(value)


@pytest.mark.django_db
def test_an_account_that_is_gone_is_no_place_for_a_list():
    with pytest.raises(Account.DoesNotExist):
        mutes.change("7", ListChange(add=("group:7",)), ListChange())


@pytest.mark.django_db
def test_lists_of_numbers_are_read_as_text():
    account = make_account("7", blocked_accounts=[12])
    assert mutes.lists(account) == ([], ["12"])
    assert mutes.change("7", ListChange(), ListChange(remove=("12",))).blocked_accounts == []
