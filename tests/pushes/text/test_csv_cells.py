"""No cell of a CSV file is a formula to a spreadsheet, however it begins; and all CSV is written in one place."""

import csv
import io
import re
from pathlib import Path

import pytest

from pushes.text import csv_cells
from tests.environment import PROJECT

FORMULA = "=HYPERLINK(1)"
BLANKS = (" ", "   ", "\n", "\r\n", "\t", "\x0b", "\xa0", "\u3000", "\u2003", "\u2028")
SHOW_NOTHING = ("\u200b", "\ufeff", "\xad", "\u2060", "\u200e", "\x00", "\x7f", "\u3164")


@pytest.mark.parametrize(
    "cell",
    [
        *(f"{sign}1" for sign in "=+-@\t\r\n＝＋－＠﹦−"),
        *(
            f"{before}{FORMULA}"
            for before in (" ", "   ", "\n", "\r\n", "\t", "\x0b", "\xa0", "\u3000", "\u2003", "\u2028")
        ),
        *(
            f"{before}{FORMULA}"
            for before in ("\u200b", "\ufeff", "\xad", "\u2060", "\u200e", "\x00", "\x7f", "\u3164")
        ),
        " \u200b\n ＝1",
        "\n\n新订单",
    ],
)
def test_no_cell_is_run_as_a_formula(cell: str) -> None:
    assert csv_cells.harmless(cell) == f"'{cell}"
    [[read]] = list(csv.reader(io.StringIO(csv_cells.lines([[cell]]).decode(), newline="")))
    assert read == f"'{cell}"


@pytest.mark.parametrize(
    "cell", ["1", "a=b", "", " ", "\u200b", 5, -5, 1.5, None, "新订单", " x=1", "'=1", "(=1)", "1-2", "≡1"]
)
def test_every_other_cell_stays_as_it_is(cell: object) -> None:
    assert csv_cells.harmless(cell) == cell


def test_no_other_module_writes_csv() -> None:
    folders = (PROJECT / name for name in ("pushes", "chatscan", "higo_push"))
    modules: list[Path] = [path for folder in folders for path in folder.rglob("*.py")]
    writers = [path.name for path in modules if re.search(r"csv\.(writer|DictWriter)", path.read_text())]
    assert writers == ["csv_cells.py"]
