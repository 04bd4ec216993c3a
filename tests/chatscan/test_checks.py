import pytest
from django.core.checks import run_checks

from chatscan.checks import check_chat_settings


def found(settings, **values):
    for name, value in values.items():
        setattr(settings, name, value)
    return [message.id for message in check_chat_settings()]


def test_the_defaults_are_fine(settings):
    assert found(settings) == []


@pytest.mark.parametrize(
    ("values", "check_id"),
    [
        ({"CHAT_GROUP_FIELDS": {"sender": "x"}}, "chatscan.E001"),
        ({"CHAT_PRIVATE_FIELDS": {"members": "x"}}, "chatscan.E001"),
        ({"CHAT_GROUPS_FIELDS": {"members": "a..b"}}, "chatscan.E002"),
        ({"CHAT_GROUPS_FIELDS": {"members": "$a"}}, "chatscan.E002"),
        ({"CHAT_TYPES": {"9": "hologram"}}, "chatscan.E003"),
        ({"CHAT_TYPES": {"Image": "image"}}, "chatscan.E004"),
        ({"CHAT_PRIVATE_COLLECTION": "chats"}, "chatscan.E005"),
        ({"CHAT_MAX_AGE_SECONDS": 30}, "chatscan.E006"),
        ({"CHAT_GROUP_DIRECTORY": "chatscan.groups.Nobody"}, "chatscan.E007"),
        ({"CHAT_OVERLAP_SECONDS": 0}, "chatscan.W001"),
    ],
)
def test_nonsense_is_found(settings, values, check_id):
    assert found(settings, **values) == [check_id]


@pytest.mark.parametrize(
    "values",
    [
        {"CHAT_TYPES": {"9": "hologram"}, "CHAT_PREVIEWS": {"hologram": "[全息]"}},
        {"CHAT_TYPES": {"1": "text", "99": "silent"}},
        {"CHAT_PRIVATE_COLLECTION": "chats", "CHAT_PRIVATE_DATABASE": "other"},
        {"CHAT_MAX_AGE_SECONDS": 0},
    ],
)
def test_sense_is_left_alone(settings, values):
    assert found(settings, **values) == []


def test_the_checks_are_registered(settings):
    settings.CHAT_GROUP_DIRECTORY = "nowhere"
    assert "chatscan.E007" in [message.id for message in run_checks()]
