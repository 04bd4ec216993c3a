import pytest

from chatscan.messages.kinds import PREVIEWS, SILENT, TEXT, TYPES, message_ok, type_name, unknown_kinds


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (" Text ", "text"),
        (3, "3"),
        (3.0, "3"),
        ("IMAGE", "image"),
        (None, ""),
        (True, ""),
        (1.5, ""),
        ({}, ""),
        ("", ""),
    ],
)
def test_types_are_compared_in_lower_case_and_digits(raw, name):
    assert type_name(raw) == name


@pytest.mark.parametrize("name", ["system", "recall", "typing", "empty", "read"])
def test_what_people_did_not_write_is_not_pushed(name):
    assert not message_ok(TYPES[name])


@pytest.mark.parametrize("name", ["text", "image", "voice", "video", "goods", "sticker"])
def test_what_people_sent_is_pushed(name):
    assert message_ok(TYPES[name])


def test_every_kind_of_the_table_can_be_shown():
    assert unknown_kinds(TYPES, PREVIEWS) == []
    assert {TEXT, SILENT, *PREVIEWS} == set(TYPES.values())


def test_a_kind_without_preview_is_found():
    assert unknown_kinds({"9": "hologram"}, PREVIEWS) == ["hologram"]
