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
