"""A list of accounts, typed or uploaded: all of it is good, or the bad lines are named and none is taken."""

import csv
import io
from dataclasses import dataclass

from django.utils.translation import gettext as _

MOST_ACCOUNTS = 200_000
LONGEST_ID = 64
#: How the files of Excel begin (.xlsx, which is a ZIP, and .xls), and UTF-16 text.
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
HEADERS = {"account_id", "account", "id", "user_id"}


@dataclass(frozen=True, slots=True)
class BadLine:
    number: int
    text: str
    reason: str

    def __str__(self) -> str:
        return _("line %(number)s: %(reason)s: %(text)r") % {
            "number": self.number,
            "reason": self.reason,
            "text": self.text[:60],
        }


@dataclass(frozen=True, slots=True)
class AccountList:
    """Distinct account ids in the order given; `repeated` counts the ones left out."""

    ids: list[str]
    bad: list[BadLine]
    repeated: int


def decode(raw: bytes) -> str:
    """A file's text: UTF-8 with or without a mark, UTF-16 with one ("Unicode text"), or GB 18030 as Chinese
    spreadsheets write it. Raises ValueError."""
    if raw.startswith(WORKBOOKS):
        raise ValueError(_("the file is an Excel workbook: save it as CSV (UTF-8), and upload that"))
    if raw.startswith(UTF_16):
        return _decoded_utf_16(raw)
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ValueError(_("the file is neither UTF-8 nor GB 18030 text: save it as CSV (UTF-8)"))


def _decoded_utf_16(raw: bytes) -> str:
    try:
        return raw.decode("utf-16")
    except UnicodeDecodeError:
        raise ValueError(_("the file is cut off: save it as CSV (UTF-8)")) from None


def parse(text: str) -> AccountList:
    """One account a line, or several parted by commas, semicolons or blanks. A heading line is skipped."""
    ids: dict[str, None] = {}
    bad: list[BadLine] = []
    seen = 0
    for number, line in enumerate(text.splitlines(), start=1):
        for account_id in words(line):
            if number == 1 and account_id.lower() in HEADERS:
                continue
            reason = _fault(account_id)
            if reason:
                bad.append(BadLine(number, account_id, reason))
                continue
            seen += 1
            ids[account_id] = None
    return AccountList(list(ids), bad, seen - len(ids))


def parse_csv(text: str) -> AccountList:
    """The first column of a CSV file; other columns are ignored. Raises ValueError for what is no CSV.

    Spreadsheets also part columns by semicolons or tabs: what the first line has, and no comma, is meant.
    """
    first_line = text.lstrip().partition("\n")[0]
    delimiter = next((mark for mark in ("\t", ";") if mark in first_line and "," not in first_line), ",")
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)
    try:
        first = [row[0] if row else "" for row in reader]
    except csv.Error as error:
        raise ValueError(
            _("line %(number)s: the file is no CSV: %(error)s") % {"number": reader.line_num, "error": error}
        ) from None
    return parse("\n".join(value.strip().replace("\n", " ") for value in first))


def words(line: str) -> list[str]:
    return line.replace(",", " ").replace(";", " ").replace("，", " ").replace("；", " ").split()


def _fault(account_id: str) -> str:
    if len(account_id) > LONGEST_ID:
        return _("longer than %(most)s characters") % {"most": LONGEST_ID}
    if not account_id.isprintable():
        return _("holds unprintable characters")
    return ""
