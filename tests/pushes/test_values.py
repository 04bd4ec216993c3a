from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pushes.names import App, Environment, Kind, Platform
from pushes.values import Audience, Credentials, DeviceTarget, PushMessage

MESSAGE = PushMessage(
    kind=Kind.SYSTEM, app=App.HIGO, audience=Audience(("u1",)), text="t", source="php", identity="order-1"
)


def test_the_dedupe_key_is_32_hex_digits():
    assert len(MESSAGE.dedupe_key) == 32
    assert int(MESSAGE.dedupe_key, 16)


def test_the_dedupe_key_depends_on_source_and_identity_alone():
    changed = replace(MESSAGE, text="other", push_type=5, audience=Audience(("u2", "u3")), app=App.HIGIRL)
    assert changed.dedupe_key == MESSAGE.dedupe_key


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_different_identities_have_different_keys(source: str, identity: str, source2: str, identity2: str):
    one = replace(MESSAGE, source=source, identity=identity)
    other = replace(MESSAGE, source=source2, identity=identity2)
    # A zero byte divides the two, and no source contains one.
    if "\0" not in source + source2:
        assert (one.dedupe_key == other.dedupe_key) == ((source, identity) == (source2, identity2))


def test_case_and_accents_make_another_key():
    keys = {replace(MESSAGE, identity=identity).dedupe_key for identity in ("a", "A", "á", "a ")}
    assert len(keys) == 4


def test_credentials_do_not_show_their_secret():
    shown = repr(Credentials("sandbox", "2100000001", "", Platform.IOS, Environment.LOCAL, secret="5ec2e7"))
    assert "5ec2e7" not in shown
    assert "2100000001" in shown


def test_a_device_does_not_show_its_token():
    assert "70ce2" not in repr(DeviceTarget(1, "u1", Platform.IOS, Environment.LOCAL, "70ce2"))
