"""The Chinese words: complete, with the same placeholders, and compiled; and the English ones for libraries' words."""

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.environment import PROJECT

CHINESE = PROJECT / "locale" / "zh_Hans" / "LC_MESSAGES"
ENGLISH = PROJECT / "locale" / "en" / "LC_MESSAGES"
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|\{\w+\}")


class Entry(NamedTuple):
    """`english` has its context in front, as the compiled file keeps it; `plural` is "" where there is none."""

    english: str
    plural: str
    chinese: str


def entries(folder: Path = CHINESE) -> Iterator[Entry]:
    """Every entry but the header."""
    for block in (folder / "django.po").read_text().split("\n\n")[1:]:
        parts = re.split(r"^(msgctxt|msgid_plural|msgid|msgstr(?:\[0\])?) ", block, flags=re.MULTILINE)
        words = {name: _text(value) for name, value in zip(parts[1::2], parts[2::2], strict=True)}
        if words:
            context = f"{words['msgctxt']}\x04" if "msgctxt" in words else ""
            chinese = words.get("msgstr", words.get("msgstr[0]", ""))
            yield Entry(context + words["msgid"], words.get("msgid_plural", ""), chinese)


def _text(value: str) -> str:
    return "".join(ast.literal_eval(line) for line in value.strip().splitlines() if line.startswith('"'))


def test_every_word_is_translated() -> None:
    found = list(entries())
    assert len(found) > 600
    assert [entry.english for entry in found if not entry.chinese] == []
    assert "#, fuzzy" not in (CHINESE / "django.po").read_text()


WITH_PLACEHOLDERS = [(entry.english, entry.chinese) for entry in entries() if PLACEHOLDER.search(entry.english)]


@pytest.mark.parametrize(("english", "chinese"), WITH_PLACEHOLDERS)
def test_a_translation_keeps_what_is_filled_in(english: str, chinese: str) -> None:
    assert sorted(set(PLACEHOLDER.findall(chinese))) == sorted(set(PLACEHOLDER.findall(english)))


@pytest.mark.parametrize("folder", [CHINESE, ENGLISH], ids=["chinese", "english"])
def test_the_compiled_words_are_those_of_the_source(folder: Path) -> None:
    with (folder / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    assert [entry.english for entry in entries(folder) if _compiled_word(compiled, entry) != entry.chinese] == []


def _compiled_word(compiled: gettext.GNUTranslations, entry: Entry) -> str:
    """What `gettext` says of an entry with a plural differs between Python's patch releases; `ngettext` does not."""
    if entry.plural:
        return compiled.ngettext(entry.english, entry.plural, 1)
    return compiled.gettext(entry.english)
