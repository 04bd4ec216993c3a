"""Read tables as spreadsheets and editors save them: the reader of all uploaded files.

The text may be UTF-8, UTF-16 or GB 18030; columns are separated by commas, semicolons or tabs, and found by their
headings, English or Chinese, in any order. An id that a spreadsheet has changed is reported, never guessed back.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

#: The first bytes of Excel files (.xlsx, which is a ZIP, and .xls), and of UTF-16 text.
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
DELIMITERS = (",", "\t", ";", "，", "；")
LOOKED_AT = 400
#: Accepted headings; compared in lower case, without spaces, dashes and text in brackets.
HEADINGS = {
    "account_id": """
        accountid account accountno uid userid user memberid customerid
        账号 账号id 帐号 帐号id 账户 账户id 帐户 帐户id 用户 用户id 用户号 用户账号 用户帐号 用户编号
        会员 会员id 会员号 会员账号 会员编号 买家id 卖家id 商家id 客户id 客户编号
        帳號 帳號id 帳戶 用戶 用戶id 用戶帳號 會員 會員id 會員編號
    """,
    "app": "app appname application 应用 应用名 应用名称 客户端 應用",
    "platform": "platform via os system devicetype 平台 设备平台 系统 操作系统 手机系统 设备类型 系統",
    "environment": "environment env 环境 推送环境 環境",
    "token": """
        token devicetoken pushtoken xgtoken apnstoken
        令牌 设备令牌 推送令牌 设备token 推送token 信鸽token 設備令牌
    """,
    "login_status": "loginstatus loggedin 登录状态 登陆状态 是否登录 登錄狀態",
    "push_status": "pushstatus 推送状态 推送开关 接收推送 是否接收推送 推送狀態",
    "tags": "tags tag 标签 设备标签 用户标签 標籤",
    "channel": "channel pushchannel 通道 推送通道 渠道 推送渠道 通道名称",
    "installation_id": "installationid installation installid 安装标识 安装id 安装编号 安裝標識",
}
#: Headings of a row number, which many tables have as their first column.
ROW_NUMBERS = frozenset(
    ("", "no", "number", "#", "row", "rowid", "index", "序号", "编号", "行号", "序", "序號", "編號")
)
_COLUMN_OF = {name: column for column, names in HEADINGS.items() for name in names.split()}
#: Compared in lower case, half width and without spaces.
_UNIT = "(人|名|位|个|個|条|條|行|条记录|users?|rows?|records?|accounts?|members?)"
_TOTAL = re.compile(
    r"(本页|本頁|全部|全体|累计|用户|账号|会员)?(合计|总计|小计|共计|总共|汇总|总数|总和|总人数|人数|计数|平均值?|合計|總計|小計|共計|總數)"
    rf"s?[:=]?(\([^()]*\))?[:=]?[\d,.]*{_UNIT}?"
    r"|((grand|sub|page|overall)?-?totals?|sum|count|average|summe|gesamt|итого|всего)(of(account|user|member|id)\w*|[:=(]?[\d,.]*\)?)"
    rf"|(共|共有|总共|一共|全部)[\d,.]+{_UNIT}|[\d,.]+(条记录|users|rows|records|accounts|members)"
)
_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_SPOILT = (
    (re.compile(r"[+-]?\d+([.,]\d+)?[eE][+-]\d+|\d+[.,]\d+[eE]\d+"), "rounded"),
    (re.compile(r"[+-]?\d+(\.0*|,0+)"), "decimals"),
    (re.compile(r"['’‘`]\d+"), "apostrophe"),
    (re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?|\d{1,3}(\.\d{3})+(,\d+)?"), "thousands"),
    (
        re.compile(
            r"\d{4}([-/.])\d{1,2}\1\d{1,2}([ t]\d{1,2}:\d\d(:\d\d)?)?|\d{1,2}([-/.])\d{1,2}\4\d{4}"
            rf"|\d{{1,2}}-{_MONTH}(-\d{{2,4}})?|{_MONTH}-\d{{2,4}}|(\d{{2,4}}年)?\d{{1,2}}月(\d{{1,2}}日)?",
            re.IGNORECASE,
        ),
        "date",
    ),
    (re.compile(r"[=＝].*", re.DOTALL), "formula"),
    (re.compile(r"#(N/A|REF!|VALUE!|NAME\?|NULL!|DIV/0!|NUM!|SPILL!|CALC!|#+)", re.IGNORECASE), "error"),
    (
        re.compile(r"null|nil|none|n/?a|nan|undefined|\(?(null|blank|空白|空)\)?|无|無|[-—–]+|\\n", re.IGNORECASE),
        "nothing",
    ),
)
#: What remains of a number with commas inside when commas separate ids: no id begins with so many zeros.
_TORN = re.compile(r"[+-]?\d+,\d+[eE][+-]?\d+|\d+,0+|\d{1,3}(,\d{3})*,0\d\d(,\d{3})*(\.\d+)?")


class SheetError(ValueError):
    """A file that is not a readable table, or has an unexpected heading. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line's cells, stripped, and the number of the line in the file."""

    number: int
    cells: list[str]


def decode(raw: bytes) -> str:
    """Decode a file's text. Raises SheetError."""
    if raw.startswith(WORKBOOKS):
        raise SheetError(_("the file is an Excel workbook: save it as CSV (UTF-8) and upload that file"))
    begins = raw[:LOOKED_AT]
    if raw.startswith(UTF_16) or begins.count(0) > len(begins) // 8:
        return _decoded_utf_16(raw)
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding).lstrip("\ufeff")
        except UnicodeDecodeError:
            continue
    raise SheetError(_("the file is neither UTF-8 nor GB 18030 text: save it as CSV (UTF-8)"))


def _decoded_utf_16(raw: bytes) -> str:
    """Decode UTF-16, recognised by its byte order mark or by the position of the zero bytes of ASCII letters."""
    begins = raw[:LOOKED_AT]
    encoding = (
        "utf-16" if raw.startswith(UTF_16) else "utf-16-be" if begins[::2].count(0) > len(begins) // 8 else "utf-16-le"
    )
    try:
        return raw.decode(encoding).lstrip("\ufeff")
    except UnicodeDecodeError:
        raise SheetError(_("the file is truncated: save it again as CSV (UTF-8)")) from None


def rows(text: str) -> list[Row]:
    """Return the lines that are not empty. Raises SheetError."""
    text = text.lstrip("\ufeff")
    first = next((line for line in text.splitlines() if line.strip()), "")
    told = re.fullmatch(r'"?sep=(.)"?[,;\t]*', first.strip(" "), re.IGNORECASE)
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=told[1] if told else _delimiter(first))
    found: list[Row] = []
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped) and not (told and not found and stripped[0].lower().startswith("sep=")):
                found.append(Row(reader.line_num, stripped))
    except csv.Error as error:
        raise SheetError(
            _("line %(number)s: the file is not valid CSV: %(error)s") % {"number": reader.line_num, "error": error}
        ) from None
    return found


def _delimiter(first_line: str) -> str:
    """Return the most frequent delimiter outside quoted text."""
    bare = re.sub('"[^"]*"', "", first_line)
    return max(DELIMITERS, key=bare.count)


def column_of(heading: str) -> str:
    """Return the column that a heading cell names, or "" for an unknown heading."""
    return _COLUMN_OF.get(_plain(heading), "")


def is_row_number(heading: str) -> bool:
    return _plain(heading) in ROW_NUMBERS


def is_heading(cell: str) -> bool:
    return bool(cell) and (bool(column_of(cell)) or is_row_number(cell))


def _plain(heading: str) -> str:
    text = re.sub(r"\(.*?\)|\[.*?\]", "", unicodedata.normalize("NFKC", heading).lower())
    return re.sub(r"[\s_*:.\-]", "", text)


def is_total(cells: Iterable[str]) -> bool:
    """Whether a line is a spreadsheet's totals row. Only the first cell and the id are checked: a nickname or a tag may
    be any word."""
    return any(_TOTAL.fullmatch("".join(unicodedata.normalize("NFKC", cell).lower().split())) for cell in cells if cell)


def spoilt(cell: str) -> str:
    """Return how a spreadsheet has damaged an id or a token, with what to do about it; "" when it has not."""
    kind = next((name for pattern, name in _SPOILT if pattern.fullmatch(cell)), "")
    return _advice()[kind] if kind else ""


def torn(line: str) -> bool:
    """Whether splitting ids at commas would tear a spreadsheet's number apart: `1,00086E+15`, `10,086`."""
    return _TORN.fullmatch(line) is not None


def _advice() -> dict[str, str]:
    return {
        "rounded": _("Excel has rounded this number; format the column as text, enter it again and save"),
        "decimals": _("Excel has added decimals; format the column as text and save again"),
        "apostrophe": _("starts with Excel's apostrophe; delete it and save again"),
        "thousands": _("Excel has added thousands separators; format the column as text and save again"),
        "date": _("Excel has taken this for a date; format the column as text, enter it again and save"),
        "formula": _("this is an Excel formula; paste the column as values and save again"),
        "error": _("this is an Excel error value; correct the cell and save again"),
        "nothing": _("this means an empty cell; delete the row"),
    }


def total_advice() -> str:
    return _("this is a totals row from Excel; delete it and save again")


def numbered(table: Sequence[Row]) -> bool:
    """Whether the first of several columns is a row number: 1, 2, 3 …, or from 2 when the heading counts as row 1."""
    firsts = [int(row.cells[0]) for row in table if len(row.cells) > 1 and row.cells[0].isdecimal()]
    return len(table) == len(firsts) > 1 and firsts in (list(range(start, start + len(table))) for start in range(3))
