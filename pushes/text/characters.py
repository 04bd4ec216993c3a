"""Text as people see it: invisible text, direction controls, and the boundaries of characters.

A character here is a grapheme cluster (UAX #29): a flag, a family emoji, a letter with its marks. Text is cut only
here, and only between two characters.
"""

import re
from collections.abc import Callable

import regex

ELLIPSIS = "…"
#: No language puts more marks on one letter; more only deface the text around it.
MAX_MARKS = 8
#: A cluster of more code points than this is not a readable character, and may be cut apart.
MAX_CLUSTER = 32
#: More invisible characters than this at the beginning are not layout; they would fill the room of the cut text.
MAX_LEAD = 32

#: Anything but blanks, controls, formats, fillers, and marks without a letter: what a reader can see.
_SHOWN = regex.compile(
    r"[^\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cs}\p{M}\u2800\ufffc\U0001d159"
    r"[\p{Cf}--\p{Prepended_Concatenation_Mark}]]",
    regex.V1,
)
#: A few of those: `regex` lets other threads in at every search, which costs more than the search.
_SURELY_SHOWN = re.compile("[!-~\u4e00-\u9fff]")
#: The direction controls that open a run, and what closes each.
_OPENERS = dict.fromkeys("\u202a\u202b\u202d\u202e", "\u202c") | dict.fromkeys("\u2066\u2067\u2068", "\u2069")
_PDF, _PDI = "\u202c", "\u2069"
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
#: All direction controls: those above, the direction marks, and the deprecated controls U+206A to U+206F.
_DIRECTIONS = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u206f]")
_CLUSTER = regex.compile(r"\X")
_CROWD = regex.compile(
    rf"([\p{{M}}\p{{GCB=Extend}}\p{{GCB=ZWJ}}]{{{MAX_MARKS}}})[\p{{M}}\p{{GCB=Extend}}\p{{GCB=ZWJ}}]+", regex.V1
)
#: Characters that never combine with others: Latin, Chinese, their punctuation. Most text has no others.
_PLAIN_CLASS = "[ -~\u2014\u2018-\u201d\u2026\u3000-\u3029\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff60]"
_IS_PLAIN = re.compile(f"{_PLAIN_CLASS}*").fullmatch
#: Between two of these is always a boundary, whatever precedes.
_PLAIN_PAIR = re.compile(f"{_PLAIN_CLASS}{{2}}")
_JOINER = "\u200d"


def is_blank(text: str) -> bool:
    """Whether `text` has no visible character, and so counts as empty."""
    return _SURELY_SHOWN.search(text) is None and _SHOWN.search(text) is None


def _is_plain(text: str) -> bool:
    return text.isascii() or _IS_PLAIN(text) is not None


def shown_from(text: str) -> str:
    """Return `text` from its first visible character on; "" when there is none."""
    first = _SHOWN.search(text)
    return text[first.start() :] if first else ""


def _without_lead(text: str) -> str:
    shown = shown_from(text)
    return text if len(text) - len(shown) <= MAX_LEAD else shown


def without_directions(text: str) -> str:
    """Return `text` without direction controls: for names, which appear inside other sentences."""
    return text if _is_plain(text) else _DIRECTIONS.sub("", text)


def name(text: str) -> str:
    """Return a name or a title that is safe in any sentence; "" when it is invisible."""
    if is_blank(text):
        return ""
    return text if _is_plain(text) else bounded(without_directions(_without_lead(text)))


def body(text: str) -> str:
    """Return a text that is safe before other text: its directions are closed; "" when it is invisible."""
    if is_blank(text):
        return ""
    return text if _is_plain(text) else closed(bounded(_without_lead(text)))


def bounded(text: str) -> str:
    """Return `text` with at most MAX_MARKS marks on each letter."""
    return text if _is_plain(text) else _CROWD.sub(r"\1", text)


def closed(text: str) -> str:
    """Return `text` with every open direction closed at its end, and without closing controls that close nothing."""
    if text.isascii() or not _TURNS.search(text):
        return text
    waiting: list[str] = []
    made = _TURNS.sub(lambda control: _balanced(control[0], waiting), text)
    return made + "".join(reversed(waiting))


def _balanced(control: str, waiting: list[str]) -> str:
    """Balance direction controls. `waiting` holds the closing controls of the open ones. The end of an isolate also
    ends everything opened inside it."""
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
    """Cut `text` to at most `most` code points, with an ellipsis for the cut; "" when there is no room for that."""
    if len(text) <= most:
        return text
    if most > 1 and _is_plain(text[:most]):
        return text[: _boundary(text, most - 1, is_defaced=False)].rstrip() + ELLIPSIS
    return cut(text, lambda head: len(head) <= most)


def cut(text: str, fits: Callable[[str], bool]) -> str:
    """Return the longest beginning of `text` that `fits`, with an ellipsis if anything is missing; "" when not even the
    ellipsis fits. `fits` must be monotonic: any shorter text fits too. Directions are closed again."""
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
    """Return the last boundary between two characters up to `end`. An unreadably long character is cut apart, and so
    is a defaced first one."""
    if _PLAIN_PAIR.match(text, end - 1):
        return end
    start = 0
    for cluster in _CLUSTER.finditer(text):
        if cluster.end() > end:
            break
        start = cluster.end()
    if cluster.end() - start > MAX_CLUSTER or (start == 0 and is_defaced):
        return start + len(text[start:end].rstrip(_JOINER))
    return start
