"""Keys of every kind from files; no secret is on a command line, in an output or in an error."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import CommandError, call_command

from pushes.keys import access_tokens, entry
from pushes.models import AppKey
from pushes.names import ProviderKind
from tests.make import make_app_key, make_secret
from tests.pushes.providers.key_files import P256, RSA, pem_of
from tests.pushes.token_server import Vendor, running_vendor, stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
HEX = "0123456789abcdef01234567"
APNS = ("--provider", "apns", "--key-id", "ABC123DEFG", "--team-id", "DEF123GHIJ", "--topic", "com.example.shop")


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    access_tokens.forget()
    with running_vendor() as vendor:
        vendor.secret = "good-secret"
        yield vendor


def file(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def google_account(**changes: Any) -> str:
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "shop-1",
            "private_key_id": "1" * 40,
            "private_key": pem_of(RSA),
            "client_email": "push@shop-1.iam.gserviceaccount.com",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
        | changes
    )


def huawei_account() -> str:
    return json.dumps(
        {"project_id": "4611", "key_id": "k1", "sub_account": "10086", "private_key": pem_of(RSA), "type": "x"}
    )


def add(*arguments: str) -> str:
    output = io.StringIO()
    call_command("addappkey", *arguments, stdout=output, stderr=output)
    return output.getvalue()


def refused(*arguments: str) -> str:
    with pytest.raises(CommandError) as caught:
        add(*arguments)
    return str(caught.value)


def arguments_of(kind: str, folder: Path) -> tuple[str, ...]:
    """A good key of each kind, for a platform of its own."""
    secret = file(folder, "secret", f"{make_secret()}\n")
    hex_secret = file(folder, "master", HEX[::-1])
    xinge = ("android", "--access-id", "2100047733", "--secret-file", secret)
    return {
        "xinge_v2": xinge,
        "sandbox": xinge,
        "tpns": ("android", "--access-id", "1500000001", "--secret-file", secret),
        "apns": ("ios", *APNS[2:], "--key-file", file(folder, "key.p8", pem_of(P256))),
        "fcm": ("android", "--service-account", file(folder, "fcm.json", google_account())),
        "jpush": ("harmony", "--app-key", HEX, "--master-secret-file", hex_secret),
        "huawei_v3": ("harmony", "--service-account", file(folder, "huawei.json", huawei_account())),
        "huawei_v1": ("android", "--app-id", "100", "--client-secret-file", secret),
    }[kind]


ACCESS_IDS = {
    "xinge_v2": "2100047733",
    "sandbox": "2100047733",
    "tpns": "1500000001",
    "apns": "ABC123DEFG",
    "fcm": "shop-1",
    "jpush": HEX,
    "huawei_v3": "4611",
    "huawei_v1": "100",
}


@pytest.mark.parametrize("kind", entry.kinds())
def test_a_key_of_every_kind_is_added_and_its_secret_is_nowhere_in_clear(kind: ProviderKind, tmp_path: Path):
    output = add("higo", *arguments_of(kind, tmp_path), "--provider", kind)
    key = AppKey.objects.get()
    assert (key.provider, key.access_id) == (kind, ACCESS_IDS[kind])
    assert f"({ACCESS_IDS[kind]})" in output
    secret = key.credentials().secret
    assert secret not in output
    assert secret not in str(AppKey.objects.values().get())


def test_keys_of_two_channels_stand_beside_each_other(tmp_path: Path):
    make_app_key()
    add("higo", *arguments_of("fcm", tmp_path), "--provider", "fcm")
    assert set(AppKey.objects.values_list("channel", flat=True)) == {"xinge", "fcm"}


def test_a_second_key_of_a_channel_is_refused(tmp_path: Path):
    make_app_key()
    said = refused("higo", *arguments_of("xinge_v2", tmp_path), "--provider", "xinge_v2")
    assert said == "There is already a key of higo android production for xinge. Rotate its secret with --rotate."


def test_a_secret_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(pem_of(P256).encode())))
    add("higo", "iphone", *APNS, "--key-file", "-")
    assert AppKey.objects.get().platform == "ios"


P384 = ec.generate_private_key(ec.SECP384R1())
FAULTS = [
    ("nothing of the kind", "--key-file: This is not a key file"),
    (pem_of(P256).replace("PRIVATE", "PUBLIC"), "--key-file: This is a public key"),
    (pem_of(P384), "--key-file: This key is on the curve secp384r1"),
    (b"\xff\xfe\x00", "This file is not text"),
    (b" \n", "The file is empty"),
    (b"x" * 16_385, "at most 16 KB"),
]


@pytest.mark.parametrize(("text", "words"), FAULTS, ids=[words for _, words in FAULTS])
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str | bytes, words: str):
    path = file(tmp_path, "key.p8", text)
    said = refused("higo", "ios", *APNS, "--key-file", path)
    assert words in said
    assert said.startswith("--key-file")
    assert not AppKey.objects.exists()


def test_a_file_that_is_not_there_is_said():
    assert "No such file" in refused("higo", "ios", *APNS, "--key-file", "/nowhere/key.p8")


def test_what_is_missing_or_too_much_is_named():
    assert refused("higo", "ios", *APNS) == "apns also needs --key-file."
    said = refused("higo", "android", "--provider", "jpush", "--app-key", HEX, "--topic", "com.example.shop")
    assert said == "--topic is not for jpush, which takes --app-key, --master-secret-file."


def test_a_field_that_is_not_valid_is_named(tmp_path: Path):
    key = file(tmp_path, "key.p8", pem_of(P256))
    said = refused("higo", "ios", *APNS, "--key-file", key, "--key-id", "short")
    assert said.startswith("--key-id: “short” is not a valid key ID")


def test_a_platform_that_the_provider_does_not_reach_is_refused(tmp_path: Path):
    key = file(tmp_path, "key.p8", pem_of(P256))
    assert refused("higo", "android", *APNS, "--key-file", key) == "platform=android: APNs pushes to iOS only."


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--endpoint", "http://169.254.169.254"), "--endpoint='http://169.254.169.254': "),
        (("--endpoint", "nonsense"), "is not a valid URL"),
        (("--rate", "0"), "--rate=0: enter a positive number"),
    ],
)
def test_endpoint_and_rate_are_checked(tmp_path: Path, more: tuple[str, ...], words: str):
    key = file(tmp_path, "key.p8", pem_of(P256))
    assert words in refused("higo", "ios", *APNS, "--key-file", key, *more)


# --- with a word of the provider --------------------------------------------------------------


def huawei(vendor: Vendor, folder: Path, secret: str, *more: str) -> tuple[str, ...]:
    path = file(folder, f"{secret}.txt", secret)
    own = ("--provider", "huawei_v1", "--app-id", "100", "--client-secret-file", path)
    place = () if "--rotate" in more else ("--endpoint", vendor.url)
    return ("higo", "android", *own, *place, *more)


def test_a_key_that_the_provider_accepts_is_stored_after_that(vendor: Vendor, tmp_path: Path):
    assert "Verified: the provider accepted these credentials." in add(
        *huawei(vendor, tmp_path, "good-secret", "--verify", "--rate", "50")
    )
    assert AppKey.objects.get().rate_per_second == 50


def test_a_key_that_the_provider_refuses_is_not_stored(vendor: Vendor, tmp_path: Path):
    said = refused(*huawei(vendor, tmp_path, "bad-secret", "--verify"))
    assert said.startswith("Nothing was stored: refused: check the credentials")
    assert "invalid client" in said
    assert "bad-secret" not in said
    assert not AppKey.objects.exists()


def test_a_secret_is_rotated_after_the_provider_has_accepted_it(vendor: Vendor, tmp_path: Path):
    add(*huawei(vendor, tmp_path, "good-secret"))
    assert "This secret is already in use" in refused(*huawei(vendor, tmp_path, "good-secret", "--rotate"))
    assert "refused" in refused(*huawei(vendor, tmp_path, "bad-secret", "--rotate"))
    vendor.secret = "new-secret"
    assert "Rotated: higo android production huawei (100)" in add(*huawei(vendor, tmp_path, "new-secret", "--rotate"))
    key = AppKey.objects.get()
    assert (key.credentials().secret, key.old_credentials().secret) == (stored("new-secret"), stored("good-secret"))
    assert "An old secret is still kept" in refused(*huawei(vendor, tmp_path, "third-secret", "--rotate"))


def test_rotation_keeps_the_app(vendor: Vendor, tmp_path: Path):
    assert "There is no key" in refused(*huawei(vendor, tmp_path, "good-secret", "--rotate"))
    add(*huawei(vendor, tmp_path, "good-secret"))
    other = [part if part != "100" else "101" for part in huawei(vendor, tmp_path, "new-secret", "--rotate")]
    assert refused(*other) == "--app-id: the access ID of the key stays 100."
    account = file(tmp_path, "fcm.json", google_account())
    add("higo", "android", "--provider", "fcm", "--service-account", account)
    other_account = file(tmp_path, "other.json", google_account(project_id="shop-2"))
    said = refused("higo", "android", "--provider", "fcm", "--service-account", other_account, "--rotate")
    assert said.startswith("--service-account: This is of another project: shop-2.")
