from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from pushes import deviceimport, devices
from pushes.models import Account, Device, DeviceEvent
from pushes.names import Reason
from tests.make import make_account, make_device

GOOD = "7,higo,android,production,token-0001,1,0"


def bad(*lines: str) -> list[tuple[int, str]]:
    return [(line.line, line.field) for line in deviceimport.parse(lines).bad]


def load(*lines: str) -> dict[str, int]:
    parsed = deviceimport.parse(lines)
    assert parsed.bad == []
    return dict(+deviceimport.store(parsed.rows))


def test_a_line_is_read_in_the_documented_order():
    row = deviceimport.parse([GOOD]).rows[0]
    assert (row.registration.account_id, row.registration.token) == ("7", "token-0001")
    assert (row.login_status, row.push_status) == (1, 0)


def test_the_last_columns_and_the_environment_may_be_left_out():
    row = deviceimport.parse(["7,higo,iphone,,token-0001"]).rows[0]
    assert (row.registration.environment, row.registration.platform) == ("production", "ios")
    assert (row.login_status, row.push_status) == (None, None)


def test_a_header_may_change_the_order():
    row = deviceimport.parse(["token,account_id,app,platform,environment", "token-0001,7,higo,ios,local"]).rows[0]
    assert (row.registration.token, row.registration.environment) == ("token-0001", "local")


def test_blank_lines_are_nothing():
    assert len(deviceimport.parse(["", GOOD, " , ,"]).rows) == 1


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
        (GOOD + ",vip,more", "line"),
        (GOOD + ",v!p", "tags"),
        (GOOD + "," + "x" * 33, "tags"),
        (GOOD + "," + "|".join(f"t{n}" for n in range(21)), "tags"),
    ],
)
def test_a_bad_line_names_its_number_and_field(line: str, field: str):
    assert bad("", GOOD, line) == [(3, field)]


@pytest.mark.parametrize("header", ["account_id,app", "account_id,app,platform,environment,token,colour"])
def test_a_header_that_does_not_fit_is_a_bad_line(header: str):
    assert bad(header)[0] == (1, "header")


def test_a_repeated_line_counts_once():
    assert len(deviceimport.parse([GOOD, GOOD]).rows) == 1


def test_a_token_with_two_owners_is_a_bad_line():
    parsed = deviceimport.parse([GOOD, "8,higo,android,production,token-0001"])
    assert str(parsed.bad[0]) == "line 2: token='…': line 1 has this token with other values"


def test_a_bad_line_does_not_show_the_whole_token():
    assert "secret-secret" not in str(deviceimport.parse(["7,higo,android,production,secret-secret x"]).bad[0])


@pytest.mark.django_db
def test_importing_makes_accounts_devices_and_history():
    assert load(GOOD, "7,higirl,ios,production,token-0002") == {"accounts": 1, "registered": 2}
    assert Account.objects.get().push_status == 0
    assert set(DeviceEvent.objects.values_list("event", "detail")) == {("registered", "to 7 (import)")}


@pytest.mark.django_db
def test_importing_tags_devices_and_leaves_those_without_tags_alone():
    header = "account_id,app,platform,environment,token,tags"
    assert load(header, "7,higo,ios,,token-0001,VIP|上海", "7,higo,ios,,token-0002,vip new")["tagged"] == 2
    assert load(header, "7,higo,ios,,token-0001,", "7,higo,ios,,token-0002,new")["tagged"] == 1
    found = Device.objects.values_list("token", "tags__tag")
    assert set(found) == {("token-0001", "vip"), ("token-0001", "上海"), ("token-0002", "new")}


@pytest.mark.django_db
def test_importing_a_device_for_another_account_takes_the_tags_of_the_former():
    header = "account_id,app,platform,environment,token,tags"
    load(header, "7,higo,ios,,token-0001,vip", "7,higo,ios,,token-0002,vip")
    load(header, "8,higo,ios,,token-0001,", "8,higo,ios,,token-0002,new")
    assert list(Device.objects.order_by("token").values_list("token", "tags__tag")) == [
        ("token-0001", None),
        ("token-0002", "new"),
    ]


@pytest.mark.django_db
def test_importing_again_writes_nothing():
    load(GOOD)
    assert load(GOOD) == {"unchanged": 1}
    assert DeviceEvent.objects.count() == 1


@pytest.mark.django_db
def test_importing_moves_and_reactivates():
    make_device(make_account("8"), token="token-0001")
    asleep = make_device(make_account("9"), token="token-0002")
    devices.deactivate([asleep.pk], Reason.BAD_TOKEN)
    assert load(GOOD, "9,higo,android,production,token-0002") == {"accounts": 1, "moved": 1, "reactivated": 1}
    assert dict(Device.objects.values_list("account_id", "is_active")) == {"7": True, "9": True}


@pytest.mark.django_db
def test_importing_corrects_the_platform():
    make_device(make_account("7"), token="token-0001")
    load("7,higo,ios,local,token-0001")
    assert (Device.objects.get().platform, Device.objects.get().environment) == ("ios", "local")


@pytest.mark.django_db
def test_an_empty_status_leaves_the_account_as_it_is():
    make_account("7", login_status=0)
    load("7,higo,android,production,token-0001")
    assert Account.objects.get().login_status == 0


@pytest.mark.django_db
def test_one_bad_line_keeps_the_whole_file_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "devices.csv"
    file.write_text(f"{GOOD}\n7,hogi,android,production,token-0002\n")
    with pytest.raises(CommandError, match="1 bad lines: nothing was imported"):
        call_command("importdevices", str(file))
    assert capsys.readouterr().err == "line 2: app='hogi': must be one of higo, higirl\n"
    assert not Device.objects.exists()


@pytest.mark.django_db
def test_bad_lines_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "devices.csv"
    file.write_text(f"\ufeff{GOOD}\r\n7,hogi,android,production,token-0002\r\n")
    call_command("importdevices", str(file), "--skip-bad")
    assert capsys.readouterr().out.startswith(
        "1 devices: 1 registered, 0 moved, 0 reactivated, 0 unchanged; 1 accounts"
    )
    assert Device.objects.count() == 1


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read: "), (b"\xff\xfe7,higo", "is not UTF-8")])
def test_a_file_that_cannot_be_read_says_so(tmp_path: Path, content: bytes | None, message: str):
    file = tmp_path / "devices.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CommandError, match=message):
        call_command("importdevices", str(file))


@pytest.mark.django_db
def test_thousands_of_lines_take_few_queries(django_assert_max_num_queries):
    lines = [f"user{n % 900},higo,android,production,token-{n:06}" for n in range(3_000)]
    parsed = deviceimport.parse(lines)
    with django_assert_max_num_queries(120):
        assert deviceimport.store(parsed.rows)["registered"] == 3_000
