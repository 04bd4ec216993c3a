"""The list of what client apps were built with, read and held against the app keys."""

import pytest

from pushes.keys import client_list
from pushes.keys.client_list import Match
from pushes.names import App, Environment, Platform
from tests.make import make_app_key, make_secret

HIGO_ANDROID = (App.HIGO, Platform.ANDROID, Environment.PRODUCTION)
HIGIRL_IOS_LOCAL = (App.HIGIRL, Platform.IOS, Environment.LOCAL)


@pytest.mark.parametrize(
    "line",
    [
        "android_higo_appid = 2100047733",
        "android_higo_appid=2100047733 ; buyers",
        'android_higo_appid : "2100047733"',
        "higo android production 2100047733",
        "higo,android,2100047733",
        "HIGO\tAndroid\tproduction\t2100047733",
        "2100047733 | android | higo",
        "higo / android = 2100047733",
    ],
)
def test_one_line_can_be_written_in_many_ways(line: str):
    found = client_list.read(line)
    assert (dict(found.access_ids), found.faults) == ({HIGO_ANDROID: "2100047733"}, [])


@pytest.mark.parametrize("line", ["local_ios_higirl_appid = 2200052868", "higirl iphone local 2200052868"])
def test_the_local_build_is_another_one(line: str):
    assert dict(client_list.read(line).access_ids) == {HIGIRL_IOS_LOCAL: "2200052868"}


@pytest.mark.parametrize("line", ["", "; a remark", "# a remark", "[xinge]", "app,platform,environment,access_id"])
def test_lines_that_say_nothing_are_no_faults(line: str):
    assert client_list.read(line) == client_list.Listed({}, [], 0)


def test_secrets_are_counted_and_passed_over():
    secret = make_secret()
    found = client_list.read(f"android_higo_skey = {secret}\nsecret_key: {secret}\nandroid_higo_appid = 2100047733")
    assert (len(found.access_ids), found.faults, found.secrets_passed_over) == (1, [], 2)
    assert secret not in repr(found)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("windows_higo_appid = 2100047733", "line 1: 'windows_higo_appid' is not a valid app key name"),
        ("android_higo_appid = soon", "'soon' is not a valid access ID"),
        ("android_higo_appid =", "'' is not a valid access ID"),
        ("higo android 17", "'17' is not a valid access ID"),
        ("higo android", "exactly one access ID is needed"),
        ("higo android 2100047733 2100047734", "exactly one access ID is needed"),
        ("higo symbian 2100047733", "'symbian' is not a valid app, platform or environment"),
        ("higo android production twice 2100047733", "'twice' is not expected here: remove it"),
        ("android 2100047733", "must both be named"),
        ("higo 2100047733", "must both be named"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_with_its_reason(line: str, words: str):
    found = client_list.read(line)
    assert not found.access_ids
    assert words in found.faults[0]


@pytest.mark.parametrize("line", ["{} higo android", "higo android 2100047733 {}", "android_higo_appid = {}"])
def test_no_fault_repeats_what_may_be_a_secret(line: str):
    secret = "f" + make_secret()[1:]
    found = client_list.read(line.format(secret))
    assert found.faults
    assert secret not in str(found.faults)


def test_the_same_build_with_two_access_ids_is_a_fault():
    found = client_list.read("higo android 2100047733\nhigo android 2100047734\nhigo android 2100047733")
    assert found.faults == ["line 2: higo android production is given as 2100047733 above, and as 2100047734 here"]


def test_there_is_an_end_to_the_faults():
    assert len(client_list.read("what\n" * 500).faults) == client_list.MAX_FAULTS


def test_what_is_shown_again_holds_no_secret():
    secret = make_secret()
    text = client_list.scrub(f"android_higo_skey = {secret}\nhigo android {secret}\nhigo ios 2200047738")
    assert text == "higo android …\nhigo ios 2200047738"


# --- beside the app keys ----------------------------------------------------------------------


def compared(text: str) -> client_list.Comparison:
    return client_list.compare(client_list.read(text))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "match", "is_wrong", "is_complete"),
    [
        ("higo android 2100047733", Match.SAME, False, True),
        ("higo android 2100047734", Match.DIFFERENT, True, True),
        ("", Match.NOT_THERE, False, False),
    ],
)
def test_a_key_is_held_against_the_list(text: str, match: Match, is_wrong: bool, is_complete: bool):
    make_app_key(access_id=2100047733)
    found = compared(text)
    assert [line.match for line in found.lines] == [match]
    assert (found.is_wrong, found.is_complete) == (is_wrong, is_complete)


@pytest.mark.django_db
def test_a_build_without_a_key_is_wrong():
    found = compared("higo ios 2200047738")
    assert [(line.match, line.listed, line.key) for line in found.lines] == [(Match.NOT_HERE, "2200047738", None)]
    assert found.is_wrong


@pytest.mark.django_db
def test_an_access_id_of_another_scope_is_recognised():
    make_app_key(App.HIGO, access_id=2100047733)
    make_app_key(App.HIGIRL, access_id=2100052867)
    lines = compared("higo android 2100052867\nhigirl android 2100047733").lines
    assert [line.hint for line in lines] == [
        "Here, this is the access ID of higirl android production.",
        "Here, this is the access ID of higo android production.",
    ]


@pytest.mark.django_db
def test_a_line_that_cannot_be_read_leaves_the_check_incomplete():
    make_app_key(access_id=2100047733)
    found = compared("higo android 2100047733\nnonsense")
    assert (found.is_wrong, found.is_complete) == (False, False)


@pytest.mark.django_db
def test_nothing_on_either_side_is_no_match():
    assert not compared("").is_complete


@pytest.mark.django_db
@pytest.mark.parametrize("access_id", ["2100047733", "1500000001"])
def test_of_two_channels_keys_the_build_knows_one(access_id: str):
    make_app_key(access_id=2100047733)
    make_app_key(access_id=1500000001, provider="tpns")
    make_app_key(access_id="shop-1", provider="fcm")
    [line] = compared(f"higo android {access_id}").lines
    assert (line.match, line.key and line.key.access_id) == (Match.SAME, access_id)
