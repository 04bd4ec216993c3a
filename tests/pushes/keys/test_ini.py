from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from pushes.keys import ini, rotation
from pushes.models import AppKey
from pushes.names import ProviderKind
from tests.make import make_secret

pytestmark = pytest.mark.django_db

SECRET = make_secret()
PAIR = f"android_higo_appid = 2100047733\nandroid_higo_skey = {SECRET}\n"


def states(text: str) -> list[tuple[str, str | None, str]]:
    return [(entry.scope, entry.access_id, entry.state) for entry in ini.preview(text)]


def problem(text: str) -> str:
    (entry,) = ini.preview(text)
    assert entry.state == ini.ERROR
    return entry.detail


def whole_file() -> str:
    lines = ["; app keys, see the console"]
    for number, prefix in enumerate(ini.SCOPES):
        lines += [f"{prefix}_appid = {2100000001 + number} ; a comment", f"{prefix}_skey={make_secret()}", ""]
    return "\n".join(lines)


def test_a_preview_shows_scope_access_id_and_state_and_writes_nothing():
    assert states(PAIR) == [("higo android production", "2100047733", "new")]
    assert not AppKey.objects.exists()


def test_all_six_pairs_are_imported():
    assert [entry.state for entry in ini.apply(whole_file())] == ["new"] * 6
    assert set(AppKey.objects.values_list("app", "platform", "environment")) == set(ini.SCOPES.values())


def test_an_imported_key_can_sign():
    ini.apply(PAIR)
    credentials = AppKey.objects.get().credentials()
    assert (credentials.access_id, credentials.secret, credentials.provider) == ("2100047733", SECRET, "xinge_v2")


def test_importing_twice_changes_nothing():
    ini.apply(PAIR)
    stored = AppKey.objects.get()
    assert states(PAIR) == [("higo android production", "2100047733", "same")]
    ini.apply(PAIR)
    assert AppKey.objects.get().secret_encrypted == stored.secret_encrypted


def test_a_change_says_what_changes():
    ini.apply(PAIR)
    (entry,) = ini.preview(PAIR.replace("47733", "47734").replace(SECRET, make_secret()))
    assert (entry.state, entry.detail) == ("changed", "access ID, secret")


def test_a_changed_key_is_no_longer_paused():
    ini.apply(PAIR)
    AppKey.objects.update(paused_at=timezone.now(), paused_reason="sign error")
    ini.apply(PAIR.replace(SECRET, make_secret()))
    assert not AppKey.objects.get().is_paused


def test_a_file_from_before_a_rotation_is_recognised():
    ini.apply(PAIR)
    assert rotation.rotate(AppKey.objects.get(), make_secret())
    (entry,) = ini.preview(PAIR)
    assert entry.detail == "secret (the file has the old one, from before the rotation)"
    ini.apply(PAIR)
    assert (AppKey.objects.get().credentials().secret, AppKey.objects.get().has_old_secret) == (SECRET, False)


def test_an_old_secret_that_cannot_be_decrypted_is_no_obstacle():
    ini.apply(PAIR)
    AppKey.objects.update(old_secret_encrypted="gAAAAA")
    (entry,) = ini.preview(PAIR.replace(SECRET, make_secret()))
    assert entry.detail == "secret"


def test_another_endpoint_keeps_the_secret_and_since_when_it_is_in_use():
    ini.apply(PAIR)
    before = AppKey.objects.get()
    ini.apply(PAIR, endpoint_url="http://gateway.test")
    after = AppKey.objects.get()
    assert (after.secret_encrypted, after.secret_since) == (before.secret_encrypted, before.secret_since)
    assert after.revision != before.revision


def test_endpoint_and_provider_apply_to_all_keys():
    ini.apply(PAIR, endpoint_url="http://gateway.test", provider=ProviderKind.TPNS)
    assert (AppKey.objects.get().endpoint_url, AppKey.objects.get().provider) == ("http://gateway.test", "tpns")


def test_without_an_endpoint_an_existing_one_is_kept():
    ini.apply(PAIR, endpoint_url="http://gateway.test")
    ini.apply(PAIR.replace(SECRET, make_secret()))
    assert AppKey.objects.get().endpoint_url == "http://gateway.test"


def test_a_secret_that_can_no_longer_be_decrypted_is_replaced():
    ini.apply(PAIR)
    AppKey.objects.update(secret_encrypted="gAAAAA")
    ini.apply(PAIR)
    assert AppKey.objects.get().credentials().secret == SECRET


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "the file contains no app key: lines like android_higo_appid = … are needed"),
        ("android_higo_appid = 2100047733", "android_higo_skey is missing (line 1 has android_higo_appid)"),
        (f"\nandroid_higo_skey = {SECRET}", "android_higo_appid is missing (line 2 has android_higo_skey)"),
        ("[keys]", "line 1: a line like android_higo_appid = … is needed"),
        ("web_higo_appid = 1", "line 1: web_higo_appid is not a valid app key name"),
        (
            PAIR.replace("2100047733", "x1"),
            "line 1: android_higo_appid must be a number: the access ID in the provider's console",
        ),
        (
            PAIR.replace(SECRET, "abc"),
            "line 2: android_higo_skey must be 32 hexadecimal characters, but has 3 characters",
        ),
        (
            PAIR.replace(SECRET, "z" * 32),
            "line 2: android_higo_skey must be 32 hexadecimal characters, but has 32 characters, some not hexadecimal",
        ),
    ],
)
def test_an_error_names_line_and_name(text: str, detail: str):
    assert problem(text) == detail


def test_a_name_that_stands_twice_is_an_error():
    assert states(PAIR + "android_higo_appid = 2")[-1] == ("", None, "error")


def test_one_error_keeps_everything_out():
    with pytest.raises(ini.LegacyIniError, match="line 3: web_higo_appid is not a valid app key name"):
        ini.apply(PAIR + "web_higo_appid = 1")
    assert not AppKey.objects.exists()


def test_no_value_is_ever_repeated():
    secret = make_secret()
    text = f"{secret}\nios_higo_skey = {secret}\nios_higo_appid = {secret}\nx = {secret}\n{secret} = 1\n{PAIR}"
    assert secret not in repr(ini.preview(text))
    assert SECRET not in repr(ini.preview(text))


def test_the_command_prints_a_table_and_imports(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "keys.ini"
    file.write_text(PAIR)
    call_command("importappkeys", str(file), "--provider", "sandbox")
    printed = capsys.readouterr().out
    assert "higo android production        2100047733  new" in printed
    assert SECRET not in printed
    assert AppKey.objects.get().provider == "sandbox"


def test_a_dry_run_imports_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "keys.ini"
    file.write_text(PAIR)
    call_command("importappkeys", str(file), "--dry-run")
    assert "dry run" in capsys.readouterr().out
    assert not AppKey.objects.exists()


def test_the_command_refuses_a_file_with_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "keys.ini"
    file.write_text(PAIR + "oops")
    with pytest.raises(CommandError, match="Nothing was imported"):
        call_command("importappkeys", str(file))
    assert "line 3: a line like" in capsys.readouterr().out


def test_the_command_refuses_an_endpoint_that_is_no_url(tmp_path: Path):
    file = tmp_path / "keys.ini"
    file.write_text(PAIR)
    with pytest.raises(CommandError, match="--endpoint='gateway' is not a valid URL"):
        call_command("importappkeys", str(file), "--endpoint", "gateway")


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read"), (b"\xff\xfe", "is not UTF-8")])
def test_the_command_says_when_it_cannot_read(tmp_path: Path, content: bytes | None, message: str):
    file = tmp_path / "keys.ini"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CommandError, match=message):
        call_command("importappkeys", str(file))
