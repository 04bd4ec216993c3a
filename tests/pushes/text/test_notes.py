"""Notes: stored as a code with its facts, shown in the reader's language; whatever else a column holds stays."""

import ast
import copy
import json
import pickle
import re
from typing import Any

import pytest
from django.utils import translation

from pushes.text import notes
from pushes.text.notes import MAX_LEVELS, Note, NotedError, said
from pushes.text.sentences import Sentence
from tests.test_architecture import trees

#: Where Chinese has no other words: somebody else's, and a field with its value.
SAME = {Sentence.SAID, Sentence.FIELD_IS}
PAUSED = Note(Sentence.PAUSED_BY, who="王小明")


def facts_of(sentence: Sentence) -> dict[str, str]:
    return {name: f"<{name}>" for name in re.findall(r"%\((\w+)\)s", sentence.label)}


def in_chinese(text: str) -> str:
    with translation.override("zh-hans"):
        return notes.words(text)


@pytest.mark.parametrize("sentence", Sentence)
def test_every_sentence_is_stored_by_its_code_and_shown_in_both_languages(sentence: Sentence):
    note = Note(sentence, **facts_of(sentence))
    column = notes.stored(note, most=300)
    assert notes.english(column) == str(note)
    chinese = in_chinese(column)
    assert all(fact in chinese for fact in facts_of(sentence).values())
    assert "%(" not in chinese
    assert (chinese == str(note)) == (sentence in SAME)
    if sentence is not Sentence.SAID:
        assert json.loads(column) == {"note": sentence.value, **facts_of(sentence)}


def test_no_sentence_is_without_a_use():
    used = {
        node.attr
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Sentence"
    }
    assert set(Sentence.names) - used == set()


def test_a_note_is_its_english_sentence_in_every_language():
    with translation.override("zh-hans"):
        assert f"{PAUSED}" == str(PAUSED) == "paused by 王小明"
        assert notes.english(notes.stored(PAUSED, most=99)) == "paused by 王小明"
        assert notes.words(PAUSED) == notes.words(notes.stored(PAUSED, most=99)) == "由 王小明 暂停"


def test_a_note_without_a_fact_is_a_mistake_of_the_program():
    with pytest.raises(KeyError, match="who"):
        Note(Sentence.PAUSED_BY)


@pytest.mark.parametrize("copied", [copy.deepcopy(PAUSED), pickle.loads(pickle.dumps(PAUSED))])
def test_a_copy_of_a_note_has_its_code_and_facts(copied: Note):
    assert (copied, copied.code, copied.facts) == (PAUSED, Sentence.PAUSED_BY, {"who": "王小明"})


# --- facts ---------------------------------------------------------------------------------------


def test_a_note_within_a_note_is_translated_too():
    note = Note(Sentence.NOT_AN_ARRAY, what=Note(Sentence.AN_EMPTY_ARRAY))
    column = notes.stored(note, most=200)
    assert json.loads(column) == {"note": "not_an_array", "what": {"note": "an_empty_array"}}
    assert notes.english(column) == "named fields are required, but this is an empty array"
    assert in_chinese(column) == "需要带名称的字段，这里是空数组"


def test_numbers_stay_numbers():
    column = notes.stored(Note(Sentence.NOT_UTF8, at=7), most=200)
    assert json.loads(column) == {"note": "not_utf8", "at": 7}


def test_a_fact_with_half_a_surrogate_pair_can_be_stored():
    column = notes.stored(Note(Sentence.PAUSED_BY, who="a\ud83dä"), most=200)
    assert column.encode()
    assert notes.english(column) == "paused by a?ä"


@pytest.mark.parametrize("who", ["%(who)s", "100 %", "%s", '"}', "\\", "{who}", "\x00\n"])
def test_a_fact_is_never_read_as_anything_else(who: str):
    column = notes.stored(Note(Sentence.PAUSED_BY, who=who), most=200)
    assert notes.english(column) == f"paused by {who}"
    assert in_chinese(column) == f"由 {who} 暂停"


# --- several notes, and others' words ------------------------------------------------------------


def test_notes_follow_one_another():
    column = notes.stored(Note(Sentence.NO_BYTES), Note(Sentence.REPLAYED, who="anna"), most=200)
    assert notes.english(column) == "no bytes at all (replayed by anna)"
    assert in_chinese(column) == "没有任何字节 （由 anna 重放）"
    assert notes.code(column) is Sentence.NO_BYTES


def test_others_words_are_stored_as_they_are():
    for text in ("-103 sign error", '{"code": 7}', "[1]", "{", "[" * 200, '{"note"', '["note"]'):
        assert notes.stored(said(text), most=200) == notes.stored(text, most=200) == text
        assert notes.english(text) == in_chinese(text) == text
        assert notes.code(text) is None


def test_a_sentence_of_an_earlier_version_stays_and_can_have_a_note_beside_it():
    old = "not a PHP value at byte 0"
    column = notes.stored(*notes.read(old), Note(Sentence.DISCARDED, who="anna"), most=300)
    assert notes.english(column) == "not a PHP value at byte 0 (discarded by anna)"
    assert in_chinese(column) == "not a PHP value at byte 0 （由 anna 丢弃）"


def test_words_that_look_like_a_note_are_not_taken_for_one():
    for text in ('{"note":"paused"}', '[{"note":"paused_by","who":"anna"}]'):
        column = notes.stored(said(text), most=200)
        assert notes.english(column) == in_chinese(column) == text
        assert notes.stored(*notes.read(column), most=200) == column


def test_nothing_is_nothing():
    assert notes.stored(most=200) == notes.stored("", said(""), most=200) == ""
    assert notes.words("") == notes.english("") == ""


# --- the width of the column ---------------------------------------------------------------------

LONG = "长" * 1_000


@pytest.mark.parametrize(
    "texts",
    [
        [said(LONG)],
        [Note(Sentence.ERROR, kind="LookupError", text=LONG)],
        [Note(Sentence.ERROR, kind="x" * 500, text='"\\\n' * 500)],
        [Note(Sentence.NOT_AN_ARRAY, what=Note(Sentence.PAUSED_BY, who=LONG))],
        [said(LONG), Note(Sentence.DISCARDED, who=LONG)],
        [said('{"note":"paused_by","who":"' + LONG + '"}')],
        [Note(Sentence.FIELD_VALUE, field="title", value=LONG, why=Note(Sentence.TOO_LONG, most=128))],
    ],
)
@pytest.mark.parametrize("most", [200, 300])
def test_long_facts_are_shortened_and_the_note_stays_whole(texts: list[str], most: int):
    column = notes.stored(*texts, most=most)
    assert most - 20 < len(column) <= most
    codes = [note.code for note in texts if isinstance(note, Note)]
    if codes != [Sentence.SAID] or column.startswith("{"):
        found = notes.read(column)
        assert [note.code for note in found if isinstance(note, Note)] == codes
        assert "…" in "".join(found)


def test_what_has_no_room_even_so_is_stored_as_its_english_sentence():
    note = Note(Sentence.NOT_A_TYPE, value="x" * 50, choices="y" * 50)
    assert notes.stored(note, most=40) == f"{'x' * 39}…"


# --- planted -------------------------------------------------------------------------------------


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"note": "paused"}
    for _level in range(levels - 1):
        inner = {"note": "not_an_array", "what": inner}
    return inner


@pytest.mark.parametrize(
    "planted",
    [
        '{"note":"unknown"}',
        '{"note":"PAUSED"}',
        '{"note":null}',
        '{"note":["paused"]}',
        '{"note":{}}',
        '{"note":"paused_by"}',
        '{"note":"paused_by","who":null}',
        '{"note":"paused_by","who":["anna"]}',
        '{"note":"paused_by","who":{"x":1}}',
        '{"note":"paused_by","who":{"note":"unknown"}}',
        '{"note":"paused_by","who":1e999}',
        '{"note":"paused"',
        '{"note":"paused"} ',
        '[{"note":"paused"},"and a text"]',
        '[{"note":"paused"},{"note":"unknown"}]',
        '["note"]',
        '{"a":{"note":"paused"}}',
        json.dumps(nested(MAX_LEVELS + 1)),
        json.dumps(nested(15)),
        '[{"note":' * 100_000,
    ],
)
def test_what_is_no_note_of_ours_is_shown_as_it_is(planted: str):
    expected = planted if planted != '{"note":"paused"} ' else "paused"
    assert notes.english(planted) == expected
    assert notes.code(planted) is (None if expected == planted else Sentence.PAUSED)


def test_a_fact_too_many_does_no_harm():
    assert notes.english('{"note":"paused","code":"x","cls":"y","who":7}') == "paused"
    assert notes.english(json.dumps(nested(MAX_LEVELS))).endswith("this is paused")


# --- errors --------------------------------------------------------------------------------------


def test_an_error_brings_its_note_or_is_told_by_its_class_and_text():
    assert notes.of_error(NotedError(PAUSED)).code is Sentence.PAUSED_BY
    assert notes.of_error(NotedError("a\n b")) == "a b"
    assert notes.of_error(NotedError("a", 1)).code is Sentence.SAID
    assert notes.of_error(LookupError("no\nsuch")) == "LookupError: no such"
    assert notes.of_error(LookupError("no"), Sentence.NOT_WRITTEN).code is Sentence.NOT_WRITTEN
