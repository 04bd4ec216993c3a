"""Notes: why something is as it is, stored as a code with its facts and shown in the reader's language.

A note is a text: its sentence in English, for logs, commands and the API. A column holds it as compact JSON, for
instance `{"note":"paused_by","who":"anna"}`; several notes as a list. Any other text in such a column (the words of a
provider or a person, sentences of earlier versions, and what only looks like a note) is shown as it was stored.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.utils.translation import gettext

from pushes.text import characters, exact_json
from pushes.text.sentences import Sentence

#: A note within the facts of a note within …: more levels are not the platform's.
MAX_LEVELS = 3
#: A fact is not shortened further than this.
MIN_FACT = 16
_CODE = "note"


class Note(str):
    """A sentence, with its code and the facts that it needs: numbers, texts and other notes."""

    __slots__ = ("code", "facts")

    code: Sentence
    facts: dict[str, Any]

    def __new__(cls, code: Sentence, /, **facts: "int | float | str") -> "Note":
        """Raises KeyError when a fact is missing."""
        safe = {name: _storable(fact) for name, fact in facts.items()}
        note = super().__new__(cls, code.label % safe)
        note.code, note.facts = code, safe
        return note

    def __getnewargs_ex__(self) -> tuple[tuple[Sentence], dict[str, Any]]:
        """Copy and pickle a note by its code and facts."""
        return (self.code,), self.facts


class NotedError(Exception):
    """An error whose text is a note, or somebody else's words."""

    @property
    def note(self) -> Note:
        text = self.args[0] if len(self.args) == 1 else None
        return text if isinstance(text, Note) else said(" ".join(str(self).split()))


def said(text: str) -> Note:
    """Return somebody else's words as a note, and a note as it is. A column holds the words alone."""
    return text if isinstance(text, Note) else Note(Sentence.SAID, text=text)


def of_error(error: BaseException, otherwise: Sentence = Sentence.ERROR) -> Note:
    """Return the note that the error carries (`error.note`); else its class and text, under the code `otherwise`."""
    note = getattr(error, "note", None)
    if isinstance(note, Note):
        return note
    return Note(otherwise, kind=type(error).__name__, text=" ".join(str(error).split()))


def stored(*texts: str, most: int) -> str:
    """Return notes, and others' words, as a column of `most` characters holds them. Long facts are shortened."""
    notes = [said(text) for text in texts if text]
    if len(notes) == 1 and notes[0].code is Sentence.SAID and read(str(notes[0])) == [notes[0]]:
        return characters.shorten(str(notes[0]), most)
    tree = [_as_json(note) for note in notes]
    while len(encoded := _encoded(tree)) > most:
        place, name = max(_texts(tree), key=lambda found: len(found[0][found[1]]), default=({"": ""}, ""))
        if len(place[name]) <= MIN_FACT:
            return characters.shorten(" ".join(notes), most)
        place[name] = characters.shorten(place[name], max(MIN_FACT, len(place[name]) + most - len(encoded)))
    return encoded


def english(text: str) -> str:
    """Return what a column holds in English, for the API and logs."""
    return " ".join(read(text))


def words(text: str) -> str:
    """Return a note, or what a column holds, in the reader's language."""
    return " ".join(_translated(part) if isinstance(part, Note) else part for part in read(text))


def code(text: str) -> Sentence | None:
    """Return the code of the first note that a column holds; None when it holds none."""
    first = read(text)[0]
    return first.code if isinstance(first, Note) else None


def read(text: str) -> Sequence[str]:
    """Return the notes that a column holds. A text that is not only notes is one text."""
    if isinstance(text, Note) or text[:1] not in ("{", "[") or f'"{_CODE}"' not in text:
        return [text]
    try:
        found = exact_json.loads(text.encode(errors="replace"))
    except exact_json.JsonError:
        return [text]
    notes = [_note(one) for one in (found if isinstance(found, list) else [found])]
    return [note for note in notes if note is not None] if notes and None not in notes else [text]


def _translated(note: Note) -> str:
    facts = {name: _translated(fact) if isinstance(fact, Note) else fact for name, fact in note.facts.items()}
    return gettext(note.code.label) % facts


def _note(found: Any, level: int = 1) -> Note | None:
    """Return the note that JSON holds; None when it is not one."""
    if not isinstance(found, dict) or found.get(_CODE) not in Sentence.values or level > MAX_LEVELS:
        return None
    facts = {name: _fact(fact, level) for name, fact in found.items() if name != _CODE}
    try:
        return None if None in facts.values() else Note(Sentence(found[_CODE]), **facts)
    except KeyError:
        return None


def _fact(fact: Any, level: int) -> Any:
    if isinstance(fact, dict):
        return _note(fact, level + 1)
    return fact if isinstance(fact, str | int | float) else None


def _storable(fact: Any) -> Any:
    """Return a fact without halves of surrogate pairs, which no database takes."""
    if not isinstance(fact, str) or isinstance(fact, Note) or fact.isascii():
        return fact
    return fact.encode(errors="replace").decode()


def _as_json(note: Note) -> dict[str, Any]:
    facts = {name: _as_json(fact) if isinstance(fact, Note) else fact for name, fact in note.facts.items()}
    return {_CODE: note.code.value, **facts}


def _encoded(tree: Sequence[dict[str, Any]]) -> str:
    if not tree:
        return ""
    return json.dumps(tree[0] if len(tree) == 1 else tree, ensure_ascii=False, separators=(",", ":"))


def _texts(tree: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the place and the name of every fact that is a text."""
    for place in tree:
        for name, value in place.items():
            if isinstance(value, dict):
                yield from _texts([value])
            elif isinstance(value, str) and name != _CODE:
                yield place, name
