import socket
import ssl
from argparse import ArgumentTypeError
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from django.core.management import CommandError, call_command

from pushes.management.commands.runsandbox import key_argument, load_keys
from pushes.names import App
from tests.make import make_app_key
from tests.pushes.sandbox.client import LegacyClient
from tests.sandbox_process import running_sandbox

DEVICE_NUM = "/v2/application/get_app_device_num"


def test_a_key_is_written_with_a_colon():
    assert key_argument("2100000001:a:b") == (2100000001, "a:b")


@pytest.mark.parametrize("text", ["", "2100000001", "2100000001:", ":secret", "abc:secret"])
def test_another_way_of_writing_a_key_is_refused_without_repeating_it(text):
    with pytest.raises(ArgumentTypeError, match="write a key as ACCESS_ID:SECRET") as caught:
        key_argument(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("latency_ms", -1), ("keep", 0), ("port", 99_999), ("port", -1), ("tls_port", -1)]
)
def test_a_number_that_makes_no_sense_is_refused(name, value):
    with pytest.raises(CommandError, match=f"--{name.replace('_', '-')}={value}"):
        call_command("runsandbox", **{name: value})


def test_a_port_that_is_taken_is_a_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeError, match=f"cannot listen on 127.0.0.1:{port}"), running_sandbox(port=port):
            pass


def test_options_are_taken():
    options = ["--codes", "gateway", "--keep", "10"]
    with running_sandbox(latency_ms=3, profile="garbage", keys={5: "x"}, options=options) as sandbox:
        stats = sandbox.stats()
    found = (stats["latency_ms"], stats["codes"], stats["profiles"], stats["access_ids"])
    assert found == (3, "gateway", {"*": "garbage"}, [5])


def test_it_listens_on_another_address():
    with running_sandbox(options=["--host", "::1"]) as sandbox:
        assert sandbox.url.startswith("http://[::1]:")
        assert requests.get(sandbox.url, timeout=10).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_it_speaks_tls_with_an_authority_of_its_own(host):
    with running_sandbox(tls=True) as sandbox:
        url = sandbox.tls_url.replace("127.0.0.1", host)
        assert requests.get(url, verify=sandbox.ca_file, timeout=10).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(url, verify=True, timeout=10)
        context = ssl.create_default_context(cafile=sandbox.ca_file)
        context.set_alpn_protocols(["h2", "http/1.1"])
        place = urlsplit(url)
        with (
            socket.create_connection((host, place.port)) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            assert secure.selected_alpn_protocol() == "h2"
    assert not Path(sandbox.ca_file).exists()


def test_without_being_asked_it_speaks_no_tls():
    with running_sandbox() as sandbox:
        assert sandbox.tls_url == ""


def test_keys_come_from_the_table_and_changes_are_noticed(process_environment):
    with running_sandbox(environment=process_environment) as sandbox:
        key = make_app_key(secret="first")
        client = LegacyClient(sandbox.url, int(key.access_id), "first")
        assert client.call(DEVICE_NUM)["ret_code"] == 0
        key.set_secret("second")
        key.save()
        client.secret = "second"
        assert client.call(DEVICE_NUM)["ret_code"] == 0
        client.secret = "third"
        assert client.call(DEVICE_NUM)["ret_code"] == -3


def test_a_secret_that_cannot_be_decrypted_leaves_the_others(transactional_db):
    good, bad = make_app_key(secret="good"), make_app_key(app=App.HIGIRL, secret="bad")
    bad.secret_encrypted = "nonsense"
    bad.save()
    assert load_keys() == [(int(good.access_id), "good")]
