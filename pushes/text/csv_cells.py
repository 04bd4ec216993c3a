"""CSV that a spreadsheet shows and does not run: the one place that writes it."""

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

#: A cell that begins so is a formula, or may be read as one; also with full-width signs, which some spreadsheets take
#: for the plain ones.
_FORMULA_SIGNS = frozenset("=+-−@\t\r\n")
_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """The rows as lines of UTF-8, every text among their cells harmless."""
    text = io.StringIO()
    csv.writer(text).writerows([[harmless(cell) for cell in row] for row in rows])
    return text.getvalue().encode()


def harmless(cell: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets an apostrophe in front, which it does not show.

    Blanks, line breaks and signs that show nothing do not hide a formula behind them.
    """
    return f"'{cell}" if isinstance(cell, str) and _is_formula(cell) else cell


def _is_formula(text: str) -> bool:
    if text[:1] in _FORMULA_SIGNS:
        return True
    first = next((sign for sign in text if not _shows_nothing(sign)), "x")
    return unicodedata.normalize("NFKC", first)[:1] in _FORMULA_SIGNS


def _shows_nothing(sign: str) -> bool:
    """Blanks of every width, line breaks, control and format signs (U+200B, U+FEFF), and Hangul's fillers."""
    return sign.isspace() or unicodedata.category(sign) in ("Cc", "Cf", "Mn") or sign in _FILLERS
