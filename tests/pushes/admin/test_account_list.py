import pytest

from pushes.admin.account_list import decode, parse, parse_csv


def test_ids_may_be_parted_by_lines_commas_and_blanks() -> None:
    assert parse("1\n2, 3;4 5，6").ids == ["1", "2", "3", "4", "5", "6"]


def test_repeated_ids_are_taken_once_and_counted() -> None:
    listed = parse("1 2 1\n2")
    assert (listed.ids, listed.repeated) == (["1", "2"], 2)


def test_a_heading_is_skipped_on_the_first_line_only() -> None:
    assert parse("account_id\n1\naccount_id").ids == ["1", "account_id"]


def test_a_bad_line_is_kept_with_its_number() -> None:
    listed = parse("1\n" + "x" * 65 + "\n2\x07")
    assert [line.number for line in listed.bad] == [2, 3]
    assert listed.ids == ["1"]
    assert "longer than 64" in str(listed.bad[0])


def test_only_the_first_column_of_a_csv_counts() -> None:
    assert parse_csv('101,"Wang, Xiao"\n102,x\n\n').ids == ["101", "102"]


def test_an_id_with_a_comma_in_quotes_is_not_torn_silently() -> None:
    assert parse_csv('"1,2"\n').ids == ["1", "2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_files_of_chinese_spreadsheets_are_read(encoding: str) -> None:
    assert decode("买家1".encode(encoding)) == "买家1"


def test_a_file_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="UTF-8"):
        decode(b"\xff\xff\xff\xff")


LISTS = {
    "LF": b"account_id\n101\n102\n",
    "CRLF": b"account_id\r\n101\r\n102\r\n",
    "old Mac": b"account_id\r101\r102\r",
    "a byte order mark": b"\xef\xbb\xbfaccount_id\n101\n102\n",
    "UTF-16 with tabs": "account_id\tname\n101\t王 小\n102\t李\n".encode("utf-16"),
    "semicolons": b"account_id;name\n101;Wang Xiao\n102;Li\n",
    "quotes": b'"account_id","name"\r\n"101","a ""b"""\r\n"102","c\r\nd"\r\n',
    "blank lines and duplicates": b"\n101\n\n102\n   \n101\n\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_files_as_spreadsheets_and_editors_write_them_are_read(name: str) -> None:
    listed = parse_csv(decode(LISTS[name]))
    assert (listed.ids, listed.bad) == (["101", "102"], [])


@pytest.mark.parametrize("begins", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_an_excel_workbook_by_mistake_is_named(begins: bytes) -> None:
    with pytest.raises(ValueError, match="Excel workbook: save it as CSV"):
        decode(begins + b"\x14\x00\x06\x00 and so on")


def test_a_file_that_is_cut_off_is_named() -> None:
    with pytest.raises(ValueError, match="cut off"):
        decode("101".encode("utf-16")[:-1])


def test_tens_of_thousands_of_lines_name_every_bad_one() -> None:
    lines = [str(100_000 + n) for n in range(50_000)]
    lines[41_999] = "x" * 65
    listed = parse_csv("\n".join(lines))
    assert len(listed.ids) == 49_999
    assert [line.number for line in listed.bad] == [42_000]
