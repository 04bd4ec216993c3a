"""The Chinese words: complete, with the same placeholders, and compiled."""

import ast
import gettext
import re
from collections.abc import Iterator

import pytest

from tests.environment import PROJECT

FOLDER = PROJECT / "locale" / "zh_Hans" / "LC_MESSAGES"
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|\{\w+\}")


def entries() -> Iterator[tuple[str, str]]:
    """(English, Chinese) of every entry but the header; of a plural, its singular; with its context in front, as
    the compiled file keeps it."""
    for block in (FOLDER / "django.po").read_text().split("\n\n")[1:]:
        parts = re.split(r"^(msgctxt|msgid_plural|msgid|msgstr(?:\[0\])?) ", block, flags=re.MULTILINE)
        words = {name: _text(value) for name, value in zip(parts[1::2], parts[2::2], strict=True)}
        if words:
            context = f"{words['msgctxt']}\x04" if "msgctxt" in words else ""
            yield context + words["msgid"], words.get("msgstr", words.get("msgstr[0]", ""))


def _text(value: str) -> str:
    return "".join(ast.literal_eval(line) for line in value.strip().splitlines() if line.startswith('"'))


def test_every_word_is_translated() -> None:
    found = list(entries())
    assert len(found) > 600
    assert [english for english, chinese in found if not chinese] == []
    assert "#, fuzzy" not in (FOLDER / "django.po").read_text()


@pytest.mark.parametrize(("english", "chinese"), [pair for pair in entries() if PLACEHOLDER.search(pair[0])])
def test_a_translation_keeps_what_is_filled_in(english: str, chinese: str) -> None:
    assert sorted(set(PLACEHOLDER.findall(chinese))) == sorted(set(PLACEHOLDER.findall(english)))


def test_the_compiled_words_are_those_of_the_source() -> None:
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    assert [english for english, chinese in entries() if compiled.gettext(english) != chinese] == []
