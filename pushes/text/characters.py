"""Text as people see it: what shows nothing, what turns the text around it, and where one character ends.

A character here is what a reader takes for one (a grapheme cluster, UAX #29): a flag, a family of emoji, a letter with
its marks. Everything that cuts text cuts it between two of them, here and nowhere else.
"""

import re
from collections.abc import Callable

import regex

ELLIPSIS = "…"
#: Marks upon one letter beyond these are no language's; they only deface what stands around them.
MAX_MARKS = 8
#: A cluster of more code points than this is no character that anybody reads, and may be cut apart.
MAX_CLUSTER = 32
#: More characters than these before the first that shows something are nobody's layout; they would fill what is cut.
MAX_LEAD = 32

#: Of these nothing shows: blanks, controls, formats, fillers, and marks that have no letter to stand on.
_SHOWN = regex.compile(
    r"[^\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cs}\p{M}\u2800\ufffc\U0001d159"
    r"[\p{Cf}--\p{Prepended_Concatenation_Mark}]]",
    regex.V1,
)
#: Those of the direction controls that open something, and what closes it.
_OPENERS = dict.fromkeys("\u202a\u202b\u202d\u202e", "\u202c") | dict.fromkeys("\u2066\u2067\u2068", "\u2069")
_PDF, _PDI = "\u202c", "\u2069"
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
#: The same, the marks of a direction, and the retired controls of U+206A to U+206F.
_DIRECTIONS = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u206f]")
_CLUSTER = regex.compile(r"\X")
_CROWD = regex.compile(
    rf"([\p{{M}}\p{{GCB=Extend}}\p{{GCB=ZWJ}}]{{{MAX_MARKS}}})[\p{{M}}\p{{GCB=Extend}}\p{{GCB=ZWJ}}]+", regex.V1
)
#: Characters that nothing joins, marks or turns: Latin, Chinese, their punctuation. Most text is made of them alone.
_PLAIN_CLASS = "[ -~\u2014\u2018-\u201d\u2026\u3000-\u3029\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff60]"
_IS_PLAIN = re.compile(f"{_PLAIN_CLASS}*").fullmatch
#: Between two of them is a boundary, whatever precedes.
_PLAIN_PAIR = re.compile(f"{_PLAIN_CLASS}{{2}}")
_JOINER = "\u200d"


def is_blank(text: str) -> bool:
    """Whether `text` shows nothing, and so counts as none."""
    return not ("!" <= text[:1] <= "~") and _SHOWN.search(text) is None


def _is_plain(text: str) -> bool:
    return text.isascii() or _IS_PLAIN(text) is not None


def shown_from(text: str) -> str:
    """`text` from its first character that shows something; "" when there is none."""
    first = _SHOWN.search(text)
    return text[first.start() :] if first else ""


def _without_lead(text: str) -> str:
    shown = shown_from(text)
    return text if len(text) - len(shown) <= MAX_LEAD else shown


def without_directions(text: str) -> str:
    """`text` without what turns text around: for names, which stand in other people's sentences."""
    return text if _is_plain(text) else _DIRECTIONS.sub("", text)


def name(text: str) -> str:
    """A name or a title as it may stand anywhere; "" when it shows nothing."""
    if is_blank(text):
        return ""
    return text if _is_plain(text) else bounded(without_directions(_without_lead(text)))


def body(text: str) -> str:
    """A text as it may stand before others: what it opens is closed; "" when it shows nothing."""
    if is_blank(text):
        return ""
    return text if _is_plain(text) else closed(bounded(_without_lead(text)))


def bounded(text: str) -> str:
    """`text` with at most MAX_MARKS marks upon each letter."""
    return text if _is_plain(text) else _CROWD.sub(r"\1", text)


def closed(text: str) -> str:
    """`text` with every direction that it opens closed at its end, and without what closes nothing."""
    if text.isascii() or not _TURNS.search(text):
        return text
    waiting: list[str] = []
    made = _TURNS.sub(lambda control: _balanced(control[0], waiting), text)
    return made + "".join(reversed(waiting))


def _balanced(control: str, waiting: list[str]) -> str:
    """`waiting` has what is to close what is open. An isolate's end ends whatever was opened inside it."""
    if control in _OPENERS:
        waiting.append(_OPENERS[control])
        return control
    if control not in waiting or (control == _PDF and waiting[-1] == _PDI):
        return ""
    inner = ""
    while waiting[-1] != control:
        inner += waiting.pop()
    return inner + waiting.pop()


def shorten(text: str, most: int) -> str:
    """At most `most` code points, an ellipsis marking the cut; "" when there is no room for that."""
    if len(text) <= most:
        return text
    if most > 1 and _is_plain(text[:most]):
        return text[: _boundary(text, most - 1, is_defaced=False)].rstrip() + ELLIPSIS
    return cut(text, lambda head: len(head) <= most)


def cut(text: str, fits: Callable[[str], bool]) -> str:
    """The longest beginning of `text` that `fits` with an ellipsis at its end, if anything is missing; "" when not
    even the ellipsis fits. What fits must do so with less of the text, too. Directions are closed again."""
    whole = bounded(text)
    if fits(whole):
        return whole
    if not fits(ELLIPSIS):
        return ""
    low, high = 0, len(whole)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(closed(whole[:middle] + ELLIPSIS)):
            low = middle
        else:
            high = middle - 1
    return closed(whole[: _boundary(whole, low, is_defaced=whole != text)].rstrip() + ELLIPSIS)


def _boundary(text: str, end: int, *, is_defaced: bool) -> int:
    """The last place up to `end` that lies between two characters. A character that nobody reads is cut apart, and
    so is a first one that was defaced."""
    if end == 0 or end == len(text) or _PLAIN_PAIR.match(text, end - 1):
        return end
    for cluster in _CLUSTER.finditer(text):
        start, stop = cluster.span()
        if stop > end:
            break
    if stop - start > MAX_CLUSTER or (start == 0 and is_defaced):
        return _unjoined(text, start, end)
    return start


def _unjoined(text: str, start: int, end: int) -> int:
    while end > start + 1 and text[end - 1] == _JOINER:
        end -= 1
    return end
