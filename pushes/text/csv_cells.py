"""Write CSV without formulas that a spreadsheet would run; the only place that writes CSV."""

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

#: A cell with this beginning is a formula, or may be read as one; some spreadsheets also accept the full-width signs.
_FORMULA_SIGNS = frozenset("=+-−@\t\r\n")
_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """Return the rows as lines of UTF-8, with every text cell made harmless."""
    text = io.StringIO()
    csv.writer(text).writerows([[harmless(cell) for cell in row] for row in rows])
    return text.getvalue().encode()


def harmless(cell: Any) -> Any:
    """Put an apostrophe, which spreadsheets do not show, in front of a text that would run as a formula.

    Leading blanks, line breaks and invisible characters are skipped when looking for a formula.
    """
    return f"'{cell}" if isinstance(cell, str) and _is_formula(cell) else cell


def _is_formula(text: str) -> bool:
    if text[:1] in _FORMULA_SIGNS:
        return True
    first = next((sign for sign in text if not _shows_nothing(sign)), "x")
    return unicodedata.normalize("NFKC", first)[:1] in _FORMULA_SIGNS


def _shows_nothing(sign: str) -> bool:
    """Whether the character is a blank, a line break, a control or format character, or a Hangul filler."""
    return sign.isspace() or unicodedata.category(sign) in ("Cc", "Cf", "Mn") or sign in _FILLERS
