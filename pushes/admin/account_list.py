"""A list of accounts, typed or uploaded: all of it is good, or the bad lines are named and none is taken."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from pushes import csvcells, ids, spreadsheets
from pushes.spreadsheets import Row, SheetError, decode

__all__ = ["MOST_ACCOUNTS", "AccountList", "BadLine", "decode", "parse", "parse_csv", "words"]
MOST_ACCOUNTS = 200_000
#: A column of this name may be anybody's: it counts where no other says that it has accounts.
WEAK_HEADING = "id"


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
    """Distinct account ids in the order given; `repeated` counts the ones left out."""

    ids: list[str]
    bad: list[BadLine]
    repeated: int


def parse(text: str) -> AccountList:
    """One account a line, or several parted by commas, semicolons or blanks. A heading line is skipped; a table, as
    it is pasted from a spreadsheet, is read as one. Raises SheetError."""
    lines = text.lstrip("\ufeff").splitlines()
    first = next((line for line in lines if line.strip()), "")
    if "\t" in first.strip():
        return parse_csv(text)
    return _listed(_typed(lines))


def _typed(lines: Sequence[str]) -> Iterable[tuple[int, str]]:
    for number, line in enumerate(lines, start=1):
        if spreadsheets.is_total([line.strip()]):
            yield number, line.strip()
            continue
        found = words(line)
        yield from ((number, word) for word in found if number > 1 or not _is_account_heading(word))


def parse_csv(text: str) -> AccountList:
    """The column of a table that its heading says has the accounts; without a heading the first one. Raises
    SheetError for what is no table, or whose heading names no accounts."""
    table = spreadsheets.rows(text)
    if not table:
        return AccountList([], [], 0)
    place = _account_column(table)
    if place is None:
        _refuse_unheaded(table)
        return _listed(_cells(table, 0))
    return _listed(_cells(table[1:], place))


def _cells(table: Sequence[Row], place: int) -> Iterable[tuple[int, str]]:
    for row in table:
        cell = row.cells[place] if place < len(row.cells) else ""
        if spreadsheets.is_total(row.cells):
            yield row.number, next(cell for cell in row.cells if spreadsheets.is_total([cell]))
        elif spreadsheets.spoilt(cell):
            yield row.number, cell
        else:
            yield from ((row.number, word) for word in words(_bare(cell)))


def _bare(cell: str) -> str:
    """Without the apostrophe that our own exports put in front of what a spreadsheet would run as a formula."""
    return cell[1:] if cell.startswith("'") and csvcells.harmless(cell[1:]) == cell else cell


def _account_column(table: Sequence[Row]) -> int | None:
    """Where the first line says that the accounts stand; None when it does not. Raises SheetError when it says so of
    several columns."""
    heading = table[0].cells
    strong = [place for place, cell in enumerate(heading) if spreadsheets.column_of(cell) == "account_id"]
    exact = [place for place in strong if heading[place].lower() == "account_id"]
    if len(exact or strong) > 1:
        raise SheetError(
            _("line %(number)s: several columns may hold the account IDs (%(names)s): leave one of them")
            % {"number": table[0].number, "names": ", ".join(heading[place] for place in strong)}
        )
    weak = [place for place, cell in enumerate(heading) if cell.lower() == WEAK_HEADING]
    return next(iter(exact or strong or weak), None)


def _refuse_unheaded(table: Sequence[Row]) -> None:
    """Raises SheetError when the first line is a heading all the same, or the first column only counts the rows."""
    if _is_some_heading(table):
        raise SheetError(
            _("line %(number)s: no column is headed account_id or 账号 (%(names)s): name the right one so")
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
    return line.replace(",", " ").replace(";", " ").replace("，", " ").replace("；", " ").split()


def _fault(given: str) -> str:
    """Why this is no account id, in the operator's language; "" when it is one."""
    if given.isascii() and given.isdigit() and len(given) <= ids.MAX_ACCOUNT_ID:
        return ""
    if spreadsheets.is_total([given]):
        return spreadsheets.total_advice()
    if reason := spreadsheets.spoilt(given):
        return reason
    if len(given.strip()) > ids.MAX_ACCOUNT_ID:
        return _("longer than %(most)s characters") % {"most": ids.MAX_ACCOUNT_ID}
    if ids.unseen(given.strip()):
        return _("holds characters that cannot be seen; paste the column into Excel as plain text and save again")
    if ids.wide(given):
        return _("has full-width digits or letters; write them in half width in Excel and save again")
    return _("is not an account ID") if ids.fault(given) else ""
