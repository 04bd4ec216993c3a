import pytest

from pushes.console.site.account_list import decode, parse, parse_csv


def test_ids_may_be_parted_by_lines_commas_and_blanks() -> None:
    assert parse("1\n2, 3;4 5，6").ids == ["1", "2", "3", "4", "5", "6"]


def test_repeated_ids_are_taken_once_and_counted() -> None:
    listed = parse("1 2 1\n2")
    assert (listed.ids, listed.repeated) == (["1", "2"], 2)


def test_a_heading_is_skipped_on_the_first_line_only() -> None:
    listed = parse("\n\naccount_id\n1\naccount_id")
    assert (listed.ids, [str(line) for line in listed.bad]) == (
        ["1"],
        ["line 5: this is a heading; delete the row: 'account_id'"],
    )


@pytest.mark.parametrize("heading", ["Account No.", "User ID", '"账号"', " 会员 ID "])
def test_a_heading_may_be_of_several_words(heading: str) -> None:
    assert parse(f"{heading}\n7").ids == ["7"]


@pytest.mark.parametrize("line", ["10\u00a0086", "10\u202f086", "10\u2028086", "10\u0085086", "10\x0b086"])
def test_no_character_that_cannot_be_seen_parts_ids(line: str) -> None:
    for listed in (parse(f"7\n{line}"), parse_csv(f"account_id\n7\n{line}\n")):
        assert (listed.ids, len(listed.bad)) == (["7"], 1)


@pytest.mark.parametrize("line", ["1,00086E15", "1,00086E+15", "10,086", "1,000,086", "10086,00"])
def test_a_comma_inside_a_number_does_not_part_ids(line: str) -> None:
    for listed in (parse(f"7\n{line}"), parse_csv(f"account_id\n7\n{line}\n")):
        assert (listed.ids, len(listed.bad)) == (["7"], 1)
        assert "Excel" in str(listed.bad[0])


def test_a_file_of_torn_numbers_alone_is_told() -> None:
    assert len(parse_csv("1,00086E+15\n10,086\n").bad) == 2
    assert parse_csv("10086,12.5\n10010,0\n").ids == ["10086", "10010"]


def test_commas_part_ids() -> None:
    assert parse("100,200,300\n10086, 10010").ids == ["100", "200", "300", "10086", "10010"]


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
    with pytest.raises(ValueError, match="truncated"):
        decode("101".encode("utf-16")[:-1])


def test_tens_of_thousands_of_lines_name_every_bad_one() -> None:
    lines = [str(100_000 + n) for n in range(50_000)]
    lines[41_999] = "x" * 65
    listed = parse_csv("\n".join(lines))
    assert len(listed.ids) == 49_999
    assert [line.number for line in listed.bad] == [42_000]


# --- which column, and what a spreadsheet has made of it ----------------------------------------

EXPORT = "number,created,account,kind,app,token,push\n1,2026-05-01,101,system,higo,abcd…,7\n2,2026-05-01,102,,,,8\n"


@pytest.mark.parametrize(
    "text",
    [
        EXPORT,
        EXPORT.replace("number", "编号").replace("account", "账号").replace("token", "令牌"),
        "序号,姓名,用户ID\n1,王,101\n2,李,102\n",
        "name;User ID;remark\nWang;101;x\nLi;102;y\n",
        "sep=;\nname;account_id\nWang;101\nLi;102\n",
        "sep=\t\n会员编号\tname\n101\tWang\n102\tLi\n",
        "用户,account_id\n王,101\n李,102\n",
        "id,name\n101,Wang\n102,Li\n",
        "101,Wang\n102,Li\n",
        "101\n102",
    ],
)
def test_the_accounts_are_found_by_their_heading(text: str) -> None:
    listed = parse_csv(text)
    assert (listed.ids, [str(line) for line in listed.bad]) == (["101", "102"], [])


@pytest.mark.parametrize("text", ["account_id\tname\n101\tWang\n102\tLi", "序号\t用户ID\n1\t101\n2\t102"])
def test_a_table_that_is_pasted_is_read_as_one(text: str) -> None:
    assert parse(text).ids == ["101", "102"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("手机号\n13800000001\n13800000002\n", "手机号"),
        ("phone,name\n13800000001,Wang\n13800000002,Li\n", "'phone', 'name'"),
        ("number,created,token\n1,2026,x\n2,2026,y\n", "account_id"),
        ("用户ID,账号\n1,101\n2,102\n", "several columns may hold the account IDs"),
        ("1,101\n2,102\n3,103\n", "row numbers"),
        ("0,101\n1,102\n", "row numbers"),
        ("2,101\n3,102\n", "row numbers"),
        ("用户列表,,\n序号,账号,昵称\n1,101,王\n", "line 2: this is the heading"),
        ("Users of May\naccount_id\n101\n", "line 2: this is the heading"),
    ],
)
def test_a_file_whose_heading_is_not_understood_is_refused(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_csv(text)


@pytest.mark.parametrize("text", ["alice\nbob\n", "user1\nuser2\n", "1\n2\n3\n", "小明\n小红\n", "alice\n"])
def test_a_list_of_bare_ids_needs_no_heading(text: str) -> None:
    assert parse_csv(text).ids == parse(text).ids == text.split()


SPOILT = [
    "1.00086E+15",
    "1.00086e+15",
    "10086.0",
    '"=""10086"""',
    "=10086",
    "'10086",
    "合计",
    "总计：2",
    "Total",
    "合 计",
    "共 2 人",
    "本页合计",
    "合计（人）",
    "Count: 2",
    "2 rows",
    "1,00086E+15",
    "10086.",
    "10.086",
    "2026-11-27",
    "11/27/2026",
    "Nov-26",
    "1月5日",
    "#N/A",
]


@pytest.mark.parametrize("heading", ["", "account_id\n"])
@pytest.mark.parametrize("cell", SPOILT)
def test_what_excel_has_made_of_an_id_is_told(heading: str, cell: str) -> None:
    listed = parse_csv(f"{heading}101\n{cell}\n")
    assert listed.ids == ["101"]
    assert [line.number for line in listed.bad] == [2 + bool(heading)]
    assert "Excel" in str(listed.bad[0])


@pytest.mark.parametrize("cell", ["１００８６", "100\u200b86", "\ufeff101", "NULL", "10/"])
def test_what_matches_nothing_is_told(cell: str) -> None:
    for listed in (parse(f"101\n{cell}"), parse_csv(f"101\n{cell}")):
        assert (listed.ids, len(listed.bad)) == (["101"], 1)
        assert cell.startswith("10/") or "Excel" in str(listed.bad[0]) or "empty" in str(listed.bad[0])


def test_a_number_with_thousands_separators_is_not_torn() -> None:
    assert len(parse_csv('account_id\n"10,086"\n').bad) == 1


def test_the_apostrophe_of_our_own_exports_is_no_part_of_the_id() -> None:
    assert parse_csv("account\n'-7\n").ids == ["-7"]


def test_a_nickname_beside_an_id_may_be_any_word() -> None:
    assert parse_csv("account_id,name\n7,合计\n8,Total\n").ids == ["7", "8"]
