"""A list of accounts, typed or uploaded. Either every line is good, or the bad lines are named and no line is used."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from pushes.text import csv_cells, ids, spreadsheets
from pushes.text.spreadsheets import Row, SheetError, decode

__all__ = ["MAX_ACCOUNTS", "AccountList", "BadLine", "decode", "parse", "parse_csv", "words"]
MAX_ACCOUNTS = 200_000
#: A column of this name may be anybody's: it counts where no other says that it has accounts.
WEAK_HEADING = "id"
#: A heading may stand below so many lines with a title.
MAX_TITLES = 10


@dataclass(frozen=True, slots=True)
class BadLine:
    number: int
    text: str
    reason: str

    def __str__(self) -> str:
        return _("line %(number)s: %(reason)s: %(text)s") % {
            "number": self.number,
            "reason": self.reason,
            "text": ids.shown(self.text),
        }


@dataclass(frozen=True, slots=True)
class AccountList:
    """Distinct account ids in the given order; `repeated` counts the omitted repetitions."""

    ids: list[str]
    bad: list[BadLine]
    repeated: int


def parse(text: str) -> AccountList:
    """Read one account a line, or several separated by commas, semicolons or spaces; a heading line is skipped. A table
    that was pasted from a spreadsheet is read as a table. Raises SheetError."""
    lines = re.split(r"\r\n?|\n", text.lstrip("\ufeff"))
    first = next((line for line in lines if line.strip()), "")
    if "\t" in first.strip():
        return parse_csv(text)
    return _listed(_typed(lines))


def _typed(lines: Sequence[str]) -> Iterable[tuple[int, str]]:
    given = ((number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip())
    for place, (number, line) in enumerate(given):
        if spreadsheets.is_total([line]) or spreadsheets.torn(line):
            yield number, line
        elif place or not _is_account_heading(line):
            yield from ((number, word) for word in words(line) if place or not _is_account_heading(word))


def parse_csv(text: str) -> AccountList:
    """Read a table's column of accounts: the column that the heading names, or without a heading the first column.
    Raises SheetError for what is not a table, and for a heading that names no accounts."""
    table = spreadsheets.rows(text)
    if not table:
        return AccountList([], [], 0)
    place = _account_column(table)
    if place is None:
        _refuse_unheaded(table)
        is_torn = all(spreadsheets.torn(",".join(row.cells)) for row in table)
        return _listed(_cells(table, 0, width=0 if is_torn else len(table[0].cells)))
    return _listed(_cells(table[1:], place, width=len(table[0].cells)))


def _cells(table: Sequence[Row], place: int, *, width: int) -> Iterable[tuple[int, str]]:
    """Yield the accounts with their line numbers. `width` is the number of columns of the first line: in a longer line
    a comma may have split a number."""
    for row in table:
        cell = row.cells[place] if place < len(row.cells) else ""
        if place == 0 and len(row.cells) <= width and cell.isascii() and cell.isdigit():
            yield row.number, cell  # most lists are nothing else, and may be long
            continue
        together = ",".join(row.cells[place:])
        if total := _total(row, cell):
            yield row.number, total
        elif spreadsheets.spoilt(cell):
            yield row.number, cell
        elif width < len(row.cells) and spreadsheets.torn(together):
            yield row.number, together
        else:
            yield from ((row.number, word) for word in words(_bare(cell)))


def _total(row: Row, cell: str) -> str:
    """The cell that marks a row as a sum; "" if none does. A nickname beside an id may be any word."""
    telling = (cell, row.cells[0]) if cell else row.cells
    return next((one for one in telling if spreadsheets.is_total([one])), "")


def _bare(cell: str) -> str:
    """Remove the apostrophe that our own exports put before a cell that a spreadsheet would run as a formula."""
    return cell[1:] if cell.startswith("'") and csv_cells.harmless(cell[1:]) == cell else cell


def _account_column(table: Sequence[Row]) -> int | None:
    """The position of the column of accounts by the first line; None if the line names none. Raises SheetError if the
    line names several."""
    heading = table[0].cells
    strong = [place for place, cell in enumerate(heading) if spreadsheets.column_of(cell) == "account_id"]
    exact = [place for place in strong if heading[place].lower() == "account_id"]
    if len(exact or strong) > 1:
        raise SheetError(
            _("line %(number)s: several columns may hold the account IDs (%(names)s): keep only one of them")
            % {"number": table[0].number, "names": ", ".join(heading[place] for place in strong)}
        )
    weak = [place for place, cell in enumerate(heading) if cell.lower() == WEAK_HEADING]
    return next(iter(exact or strong or weak), None)


def _refuse_unheaded(table: Sequence[Row]) -> None:
    """Refuse a table whose first line is some other heading, or whose first column only numbers the rows. Raises
    SheetError."""
    if later := next((row for row in table[1:MAX_TITLES] if _account_column([row]) is not None), None):
        raise SheetError(
            _("line %(number)s: this is the heading: delete the lines above it") % {"number": later.number}
        )
    if _is_some_heading(table):
        raise SheetError(
            _("line %(number)s: no column is headed account_id or 账号 (found: %(names)s): rename the right one")
            % {"number": table[0].number, "names": ", ".join(map(_shown, table[0].cells))}
        )
    if spreadsheets.numbered(table):
        raise SheetError(
            _("The first column holds row numbers: delete it in Excel, or head the right column account_id")
        )


def _is_some_heading(table: Sequence[Row]) -> bool:
    first, *later = table
    if any(map(spreadsheets.is_heading, first.cells)):
        return True
    # Ids without any digit are rare: above rows that all have one, such a line is a heading in other words.
    return bool(later) and not _has_digit(first.cells) and all(_has_digit(row.cells[:1]) for row in later)


def _has_digit(cells: Sequence[str]) -> bool:
    return any(character.isdigit() for cell in cells for character in cell)


def _is_account_heading(word: str) -> bool:
    return spreadsheets.column_of(word) == "account_id" or word.lower() == WEAK_HEADING


def _shown(cell: str) -> str:
    return ids.shown(cell, most=30)


def _listed(cells: Iterable[tuple[int, str]]) -> AccountList:
    found: dict[str, None] = {}
    bad: list[BadLine] = []
    seen = 0
    for number, given in cells:
        if reason := _fault(given):
            bad.append(BadLine(number, given, reason))
            continue
        seen += 1
        found[given.strip()] = None
    return AccountList(list(found), bad, seen - len(found))


def words(line: str) -> list[str]:
    """Split at the separators that people type between ids. Any other white space stays in the word, and makes the word
    invalid."""
    found = re.split(r"[ \t\u3000\r\n,;，；、]+", line)
    return [word[1:-1] if re.fullmatch('"[^"]+"', word) else word for word in found if word.strip()]


def _fault(given: str) -> str:
    """Say why this is not an account id, in the operator's language; "" if it is one."""
    if given.isascii() and given.isdigit() and len(given) <= ids.MAX_ACCOUNT_ID:
        return ""
    if spreadsheets.is_total([given]):
        return spreadsheets.total_advice()
    if reason := spreadsheets.spoilt(given):
        return reason
    if _is_account_heading(given):
        return _("this is a heading; delete the row")
    if len(given.strip()) > ids.MAX_ACCOUNT_ID:
        return _("longer than %(most)s characters") % {"most": ids.MAX_ACCOUNT_ID}
    if ids.unseen(given.strip()):
        return _("contains invisible characters; paste the column into Excel as plain text and save again")
    if ids.wide(given):
        return _("has full-width digits or letters; write them in half width in Excel and save again")
    return _("is not a valid account ID") if ids.fault(given) or '"' in given else ""
