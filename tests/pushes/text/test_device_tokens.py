"""What a device token may be, and the one way to write it."""

import pytest

from pushes.names import Channel, Platform
from pushes.text import device_tokens
from pushes.text.device_tokens import InvalidTokenError

IPHONE, ANDROID = "0A1b" * 16, "0A1b" * 10


@pytest.mark.parametrize(
    "written",
    [IPHONE, IPHONE.lower(), f"<{IPHONE}>", f"<{IPHONE[:8]} {IPHONE[8:16]} {IPHONE[16:]}>", f"\t{IPHONE}\r\n"],
)
def test_an_iphones_token_is_written_in_one_way(written: str):
    assert device_tokens.spelled(written, Platform.IOS) == IPHONE.lower()


@pytest.mark.parametrize("token", ["ab" * 32, "ab" * 50, "ab" * 64])
def test_apns_tokens_may_grow(token: str):
    assert device_tokens.spelled(token, Platform.IOS) == token


def test_the_tokens_that_tpns_gives_iphones_are_kept_as_they_are():
    assert device_tokens.spelled("0A1b" * 9, Platform.IOS) == "0A1b" * 9


@pytest.mark.parametrize("token", [ANDROID, IPHONE, "AbC:def_-0", "d//igwEhgBGCI2TG6lWqlK+/", "CN_0a1b2c3d"])
def test_every_other_token_stays_as_it_is(token: str):
    assert device_tokens.spelled(f" {token} ", Platform.ANDROID) == token


NOTHING = [
    "",
    " ",
    "undefined",
    "Undefined",
    "null",
    "NULL",
    "(null)",
    "<null>",
    "nil",
    "None",
    "[object Object]",
    "NaN",
]
BROKEN = ["<0a1b0a1b 0a1b0a1b>", "0a1b 0a1b 0a1b", "token\0token", "token\ntoken", "token\u200btoken", "\ufefftoken-1"]
BROKEN += ["short", "x" * 513, '"0a1b0a1b"', "{token-0001}", "token-1,token-2", "中文中文中文中文"]


@pytest.mark.parametrize("token", NOTHING + BROKEN)
@pytest.mark.parametrize("platform", Platform)
def test_what_cannot_be_a_token_is_refused_and_not_repeated(token: str, platform: Platform):
    with pytest.raises(InvalidTokenError) as caught:
        device_tokens.spelled(token, platform)
    assert not token.strip() or token.strip() not in str(caught.value)


@pytest.mark.parametrize(
    "token",
    [
        "ab" * 20,
        "a" * 63,
        "a" * 65,
        "ab" * 31,
        "ab" * 257,
        "g" * 64,
        "0x" + "ab" * 32,
        "token-0001",
        "ab" * 31 + "ab\u200b",
    ],
)
def test_an_iphones_token_of_another_length_or_alphabet_is_refused(token: str):
    with pytest.raises(InvalidTokenError, match="64 to 512 hexadecimal digits"):
        device_tokens.spelled(token, Platform.IOS)


def test_names_in_a_line_may_be_tokens_as_xcode_prints_them():
    assert device_tokens.words("7, <0A1b 2c3D>\n8;9，10") == ["7", "0A1b2c3D", "8", "9", "10"]
    assert device_tokens.words("<a user> <>") == ["<a", "user>", "<>"]


@pytest.mark.parametrize("channel", [Channel.FCM, Channel.JPUSH])
def test_on_an_iphone_only_apples_channels_have_apples_tokens(channel: Channel):
    token = "cAbC_1-2:APA91b" + "Ab" * 60
    assert device_tokens.spelled(token, Platform.IOS, channel) == token
    assert device_tokens.stored("ABCD" * 16, Platform.IOS, channel) == "ABCD" * 16
    with pytest.raises(InvalidTokenError):
        device_tokens.spelled(token, Platform.IOS, Channel.APNS)


def test_apple_itself_has_no_tokens_of_tpns():
    assert device_tokens.spelled("0A1b" * 9, Platform.IOS, Channel.TPNS) == "0A1b" * 9
    with pytest.raises(InvalidTokenError):
        device_tokens.spelled("0A1b" * 9, Platform.IOS, Channel.APNS)


@pytest.mark.parametrize("length", [8, 129, 512])
def test_a_token_has_up_to_512_characters(length: int):
    assert device_tokens.spelled("x" * length, Platform.ANDROID, Channel.FCM) == "x" * length


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("", ""),
        ("  ", ""),
        (" a-b_c.d:e ", "a-b_c.d:e"),
        ("AbCdEfGh", "AbCdEfGh"),
        ("6F9619FF-8B86-D011-B42D-00CF4FC964FF", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
        ("x1" * 32, "x1" * 32),
    ],
)
def test_an_installation_has_one_spelling(written: str, stored: str):
    assert device_tokens.installation(written) == stored


@pytest.mark.parametrize(
    "written",
    [
        "short",
        "x1" * 32 + "x",
        "undefined",
        "00000000-0000-0000-0000-000000000000",
        "a b c d e f",
        '"quoted-id"',
        "标识标识标识标识",
        "aaaaaaaa",
    ],
)
def test_what_cannot_be_an_installations_own_is_refused(written: str):
    with pytest.raises(InvalidTokenError):
        device_tokens.installation(written)
