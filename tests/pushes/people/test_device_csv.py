import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from pushes.models import Account, Device, DeviceEvent
from pushes.names import Reason
from pushes.people import device_csv, devices
from pushes.text import notes
from pushes.text.spreadsheets import SheetError, decode
from tests.make import make_account, make_device

pytestmark = pytest.mark.django_db
IPHONE, OTHER = "0a1b" * 16, "0a1c" * 16
GOOD = "7,higo,android,production,token-0001,1,0"


def bad(*lines: str) -> list[tuple[int, str]]:
    return [(line.line, line.field) for line in device_csv.parse(lines).bad]


def load(*lines: str) -> dict[str, int]:
    parsed = device_csv.parse(lines)
    assert parsed.bad == []
    return dict(+device_csv.store(parsed.rows))


def test_a_line_is_read_in_the_documented_order():
    row = device_csv.parse([GOOD]).rows[0]
    assert (row.registration.account_id, row.registration.token) == ("7", "token-0001")
    assert (row.login_status, row.push_status) == (1, 0)


def test_the_last_columns_and_the_environment_may_be_left_out():
    row = device_csv.parse([f"7,higo,iphone,,{IPHONE}"]).rows[0]
    assert (row.registration.environment, row.registration.platform) == ("production", "ios")
    assert (row.login_status, row.push_status) == (None, None)


def test_a_header_may_change_the_order():
    row = device_csv.parse(["token,account_id,app,platform,environment", f"{IPHONE},7,higo,ios,local"]).rows[0]
    assert (row.registration.token, row.registration.environment) == (IPHONE, "local")


def test_blank_lines_are_nothing():
    assert len(device_csv.parse(["", GOOD, " , ,"]).rows) == 1


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (",higo,android,production,token-0001", "account_id"),
        ("7,hogi,android,production,token-0001", "app"),
        ("7,higo,windows,production,token-0001", "platform"),
        ("7,higo,android,test,token-0001", "environment"),
        ("7,higo,android,production,short", "token"),
        ("7,higo,android,production,token-0001,2", "login_status"),
        ("7,higo,android,production,token-0001,1,yes", "push_status"),
        ("7,higo,android,production", "line"),
        (GOOD + ",vip,tpns,installation,more", "line"),
        (GOOD + ",vip,apns", "channel"),
        (GOOD + ",vip,wechat", "channel"),
        (GOOD + ",vip,fcm,short", "installation_id"),
        (GOOD + ",v!p", "tags"),
        (GOOD + "," + "x" * 33, "tags"),
        (GOOD + "," + "|".join(f"t{n}" for n in range(21)), "tags"),
    ],
)
def test_a_bad_line_names_its_number_and_field(line: str, field: str):
    assert bad("", GOOD, line) == [(3, field)]


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("account_id,app", "lacks: 'platform', 'token'"),
        ("account_id,app,platform,environment,token,colour", "not understood: 'colour'"),
        ("账号,应用,平台,令牌,用户ID", "more than one: 'account_id'"),
        ("who,where,what,which,how", "not understood: 'who'"),
        ("1,7,higo,android,token-0001", "not understood: '1'"),
    ],
)
def test_a_file_whose_heading_does_not_fit_is_refused(header: str, named: str):
    with pytest.raises(SheetError, match=f"line 1: the heading cannot be used: .*{named}"):
        device_csv.parse([header, GOOD])


@pytest.mark.parametrize(
    "heading",
    [
        "序号,设备令牌,平台,应用,环境,账号,标签",
        "No.,Device Token,Platform,App,Environment,User ID,Tags",
        " 编号 ,推送 Token,系统,应用名称,推送环境,用户ID（必填）,用户标签",
        ",token,via,app,env,account_id,tag",
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("told", ["", "sep={}\r\n", "\r\n"])
def test_a_spreadsheets_table_is_read(heading: str, delimiter: str, encoding: str, told: str):
    line = f"1,{IPHONE.upper()},iOS,higo,local,10086,VIP|上海"
    text = told.format(delimiter) + "\r\n".join((heading, line, "")).replace(",", delimiter)
    parsed = device_csv.parse_text(decode(text.encode(encoding)))
    assert parsed.bad == []
    (row,) = parsed.rows
    assert (row.registration.account_id, row.registration.token) == ("10086", IPHONE)
    assert (row.registration.environment, row.tags) == ("local", ("vip", "上海"))


def test_a_heading_without_the_environment_means_production():
    row = device_csv.parse(["账号,应用,平台,令牌", "7,higo,android,token-0001"]).rows[0]
    assert row.registration.environment == "production"


SPOILT = [
    "1.00086E+15",
    "1.00086e+15",
    "1,00086E+15",
    "10086.0",
    "10086.00",
    '=""10086""',
    "１００８６",
    "10,086",
    "'10086",
    "#N/A",
    "NULL",
]


@pytest.mark.parametrize("account_id", SPOILT)
def test_what_excel_has_made_of_an_id_is_told(account_id: str):
    (line,) = device_csv.parse([GOOD, f'"{account_id}",higo,android,production,token-0002']).bad
    assert (line.line, line.field) == (2, "account_id")
    assert "Excel" in str(line) or account_id in ("１００８６", "NULL")


@pytest.mark.parametrize("line", ["合计,2,,,", "总计：2,,,,", "Total,,,,2", ",,,,小计", "共 2 条,,,,", "总 计,,,,"])
def test_a_totals_row_is_told(line: str):
    (found,) = device_csv.parse([GOOD, line]).bad
    assert (found.line, found.field) == (2, "line")
    assert "totals row from Excel" in str(found)


@pytest.mark.parametrize("hidden", ["\u200b", "\ufeff", "\u00ad", "\0", "\u3164"])
def test_an_id_with_what_cannot_be_seen_is_a_bad_line(hidden: str):
    (line,) = device_csv.parse([GOOD, f"7{hidden}8,higo,android,production,token-0002"]).bad
    assert (line.field, str(line).isprintable(), hidden in str(line)) == ("account_id", True, False)


@pytest.mark.parametrize("token", ["undefined", "NULL", "token 0001", "<abcd abcd>", "1.23E+40", '=""token-0001""'])
def test_a_token_that_cannot_be_one_is_a_bad_line(token: str):
    (line,) = device_csv.parse([GOOD, f'7,higo,android,production,"{token}"']).bad
    assert (line.line, line.field) == (2, "token")


def test_two_spellings_of_one_iphone_are_one_line_or_a_contradiction():
    lines = [f"7,higo,ios,production,{token}" for token in (IPHONE, IPHONE.upper(), f"<{IPHONE}>")]
    assert len(device_csv.parse(lines).rows) == 1
    assert bad(lines[0], f"8,higo,ios,production,{IPHONE.upper()}") == [(2, "token")]


def test_a_repeated_line_counts_once():
    assert len(device_csv.parse([GOOD, GOOD]).rows) == 1


def test_a_token_with_two_owners_is_a_bad_line():
    parsed = device_csv.parse([GOOD, "8,higo,android,production,token-0001"])
    assert str(parsed.bad[0]) == "line 2: token='…': line 1 has this token with other values"


def test_a_bad_line_does_not_show_the_whole_token():
    assert "secret-secret" not in str(device_csv.parse(["7,higo,android,production,secret-secret x"]).bad[0])


def test_importing_makes_accounts_devices_and_history():
    assert load(GOOD, f"7,higirl,ios,production,{IPHONE}") == {"accounts": 1, "registered": 2}
    assert Account.objects.get().push_status == 0
    told = {(event, notes.english(detail)) for event, detail in DeviceEvent.objects.values_list("event", "detail")}
    assert told == {("registered", "to 7 (import)")}


def test_importing_tags_devices_and_leaves_those_without_tags_alone():
    header = "account_id,app,platform,environment,token,tags"
    assert load(header, "7,higo,android,,token-0001,VIP|上海", "7,higo,android,,token-0002,vip new")["tagged"] == 2
    assert load(header, "7,higo,android,,token-0001,", "7,higo,android,,token-0002,new")["tagged"] == 1
    found = Device.objects.values_list("token", "tags__tag")
    assert set(found) == {("token-0001", "vip"), ("token-0001", "上海"), ("token-0002", "new")}


def test_importing_a_device_for_another_account_takes_the_tags_of_the_former():
    header = "account_id,app,platform,environment,token,tags"
    load(header, "7,higo,android,,token-0001,vip", "7,higo,android,,token-0002,vip")
    load(header, "8,higo,android,,token-0001,", "8,higo,android,,token-0002,new")
    assert list(Device.objects.order_by("token").values_list("token", "tags__tag")) == [
        ("token-0001", None),
        ("token-0002", "new"),
    ]


def test_importing_again_writes_nothing():
    load(GOOD)
    assert load(GOOD) == {"unchanged": 1}
    assert DeviceEvent.objects.count() == 1


def test_importing_moves_and_reactivates():
    make_device(make_account("8"), token="token-0001")
    asleep = make_device(make_account("9"), token="token-0002")
    devices.deactivate([asleep.pk], Reason.BAD_TOKEN)
    assert load(GOOD, "9,higo,android,production,token-0002") == {"accounts": 1, "moved": 1, "reactivated": 1}
    assert dict(Device.objects.values_list("account_id", "is_active")) == {"7": True, "9": True}


def test_importing_corrects_the_platform():
    make_device(make_account("7"), token=IPHONE)
    load(f"7,higo,ios,local,{IPHONE}")
    assert (Device.objects.get().platform, Device.objects.get().environment) == ("ios", "local")


def test_an_empty_status_leaves_the_account_as_it_is():
    make_account("7", login_status=0)
    load("7,higo,android,production,token-0001")
    assert Account.objects.get().login_status == 0


def test_one_bad_line_keeps_the_whole_file_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "devices.csv"
    file.write_text(f"{GOOD}\n7,hogi,android,production,token-0002\n")
    with pytest.raises(CommandError, match="1 bad lines; nothing was imported"):
        call_command("importdevices", str(file))
    assert capsys.readouterr().err == "line 2: app='hogi': must be one of higo, higirl\n"
    assert not Device.objects.exists()


def test_bad_lines_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "devices.csv"
    file.write_text(f"\ufeff{GOOD}\r\n7,hogi,android,production,token-0002\r\n")
    call_command("importdevices", str(file), "--skip-bad")
    assert capsys.readouterr().out.startswith(
        "1 devices: 1 registered, 0 moved, 0 corrected, 0 reactivated, 0 unchanged; 1 accounts"
    )
    assert Device.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: "),
        (b"\xff\xfe7,higo,", "the file is truncated"),
        (b"PK\x03\x04", "Excel workbook"),
    ],
)
def test_a_file_that_cannot_be_read_says_so(tmp_path: Path, content: bytes | None, message: str):
    file = tmp_path / "devices.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CommandError, match=message):
        call_command("importdevices", str(file))


def test_thousands_of_lines_take_few_queries(django_assert_max_num_queries):
    lines = [f"user{n % 900},higo,android,production,token-{n:06}" for n in range(3_000)]
    parsed = device_csv.parse(lines)
    with django_assert_max_num_queries(120):
        assert device_csv.store(parsed.rows)["registered"] == 3_000


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_standard_input_is_read_like_a_file(encoding: str, monkeypatch: pytest.MonkeyPatch):
    text = "账号,应用,平台,令牌\n10086,higo,android,token-0001\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode(encoding)), encoding="ascii"))
    call_command("importdevices", "-")
    assert Device.objects.get().account_id == "10086"


def test_a_heading_that_is_not_understood_keeps_the_whole_file_out(tmp_path: Path):
    file = tmp_path / "devices.csv"
    file.write_text("who,where,what,which,how\n7,higo,android,production,token-0001\n")
    with pytest.raises(CommandError, match=r"the heading cannot be used.*Nothing was imported"):
        call_command("importdevices", str(file), "--skip-bad")
    assert not Device.objects.exists()


def test_importing_an_iphone_in_another_letter_case_changes_nothing():
    load(f"7,higo,ios,production,{IPHONE}")
    assert load(f"7,higo,ios,production,{IPHONE.upper()}") == {"unchanged": 1}


def test_a_tag_may_be_any_word():
    parsed = device_csv.parse([f"{GOOD},total|count"])
    assert (parsed.bad, parsed.rows[0].tags) == ([], ("count", "total"))


def test_a_nul_in_a_file_makes_no_other_text_of_it():
    raw = f"account_id,app,platform,token\n10\x00086,higo,android,{'a' * 40}\n".encode()
    (bad,) = device_csv.parse_text(decode(raw)).bad
    assert (bad.line, bad.field) == (2, "account_id")


def test_the_delimiter_is_what_stands_there_most_often():
    text = f'"account_id";"app";"platform";"token";"tags, parted by |"\n7;higo;android;{"a" * 40};vip\n'
    with pytest.raises(SheetError, match=r"'tags, parted by \|'"):
        device_csv.parse_text(text)
