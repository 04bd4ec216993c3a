"""What the console's marks say, whatever is stored."""

import json

import pytest
from django.utils import translation

from pushes.console.site import marks

STRANGE = ["", "Paused.", "[draft] was halted", "[", "[1]", '[{"changed": 1}]', '[{"changed": {}}]', "[" * 100_000]


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_a_stored_text_that_is_no_list_of_changes_stays_as_it_is(text: str):
    assert marks.translated(text) == text


def test_a_stored_change_names_its_fields_in_the_readers_language():
    stored = json.dumps([{"changed": {"name": "app key", "fields": ["Title", "unheard of"]}}])
    with translation.override("zh-hans"):
        [change] = json.loads(marks.translated(stored))
    assert change["changed"]["fields"][0] not in ("", "Title")
    assert change["changed"]["fields"][1] == "unheard of"
