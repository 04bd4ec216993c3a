"""The sandbox over HTTP/2, spoken by libcurl."""

import json
import socket
from io import BytesIO
from urllib.parse import urlsplit

import pycurl
import pytest
from h2.connection import H2Connection
from h2.events import Event, RemoteSettingsChanged, StreamEnded
from h2.settings import SettingCodes

from pushes.names import ProviderKind
from tests.pushes.sandbox.client import LegacyClient, android_message, push_params
from tests.pushes.sandbox.conftest import ANDROID_ID
from tests.pushes.sandbox.vendors import apns_token, call, known
from tests.sandbox_process import Sandbox

HEADERS = {"apns-topic": "com.higo.shop", "apns-push-type": "alert"}
BODY = json.dumps({"aps": {"alert": "内容"}})


def many(sandbox: Sandbox, tokens: list[str]) -> list[int]:
    """The statuses of one push to each token, all on one connection at once."""
    multi, handles = pycurl.CurlMulti(), []
    multi.setopt(pycurl.M_PIPELINING, 2)
    multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, 1)
    headers = [f"{name}: {value}" for name, value in HEADERS.items()] + [f"authorization: bearer {apns_token()}"]
    for token in tokens:
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, f"{sandbox.url}/3/device/{token}")
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
        curl.setopt(pycurl.PIPEWAIT, 1)
        curl.setopt(pycurl.POSTFIELDS, BODY)
        curl.setopt(pycurl.HTTPHEADER, headers)
        curl.setopt(pycurl.WRITEDATA, BytesIO())
        curl.setopt(pycurl.TIMEOUT, 30)
        multi.add_handle(curl)
        handles.append(curl)
    left = len(handles)
    while left:
        _, left = multi.perform()
        multi.select(1.0)
    found = [curl.getinfo(pycurl.RESPONSE_CODE) for curl in handles]
    for curl in handles:
        multi.remove_handle(curl)
        curl.close()
    multi.close()
    return found


def limits(sandbox: Sandbox, *bearers: str) -> list[int]:
    """The streams that a new connection allows, as they are told: at first, and after a push under each bearer."""
    client, address = H2Connection(), urlsplit(sandbox.url)
    told: list[int] = []
    client.initiate_connection()
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:

        def read(until: type[Event]) -> None:
            while True:
                connection.sendall(client.data_to_send())
                events = client.receive_data(connection.recv(65_536))
                changes = [event.changed_settings for event in events if isinstance(event, RemoteSettingsChanged)]
                number = SettingCodes.MAX_CONCURRENT_STREAMS
                told.extend(change[number].new_value for change in changes if number in change)
                if any(isinstance(event, until) for event in events):
                    return

        read(RemoteSettingsChanged)
        for bearer in bearers:
            path = f"/3/device/{'ab' * 32}"
            head = {":method": "POST", ":scheme": "http", ":authority": address.netloc, ":path": path} | HEADERS
            stream = client.get_next_available_stream_id()
            client.send_headers(stream, [*head.items(), ("authorization", f"bearer {bearer}")])
            client.send_data(stream, BODY.encode(), end_stream=True)
            read(StreamEnded)
    return told


def test_a_client_is_told_at_once_how_many_streams_it_may_open(sandbox):
    assert limits(sandbox) == [1_000]


def test_a_connection_takes_one_stream_until_a_token_was_good(sandbox):
    known(sandbox, ProviderKind.APNS)
    sandbox.set_first_streams(1)
    assert limits(sandbox, "none", "none") == [1]
    assert limits(sandbox, "none", apns_token(), apns_token()) == [1, 1_000]
    sandbox.reset()
    assert limits(sandbox, apns_token()) == [1_000]


def test_many_streams_at_once(sandbox):
    known(sandbox, ProviderKind.APNS)
    tokens = [f"{number:064x}" for number in range(300)]
    assert many(sandbox, tokens) == [200] * 300
    assert sorted(entry["token"] for entry in sandbox.received()) == tokens


def test_late_answers_come_on_their_streams(sandbox):
    known(sandbox, ProviderKind.APNS)
    sandbox.set_latency(60)
    tokens = [f"{number:064x}" for number in range(50)]
    assert many(sandbox, [*tokens, "dead0000" + "0" * 56]) == [200] * 50 + [410]


def test_a_stream_that_is_never_answered_leaves_the_others(sandbox):
    known(sandbox, ProviderKind.APNS)
    sandbox.set_profile("hang", access_id="ABC123DEFG", times=1)
    url = f"{sandbox.url}/3/device/{'ab' * 32}"
    headers = HEADERS | {"authorization": f"bearer {apns_token()}"}
    with pytest.raises(pycurl.error):
        call(url, BODY, headers, http2=True, seconds=1)
    assert call(url, BODY, headers, http2=True).status == 200


def test_every_other_face_answers_too(android: LegacyClient, sandbox: Sandbox):
    params = push_params(android_message())
    assert android.call("/v2/push/single_device", device_token="a1" * 20, **params)["ret_code"] == 0
    stats = call(f"{sandbox.url}/_sandbox/stats", "", {}, http2=True, method="GET").body
    assert ANDROID_ID in stats["access_ids"]


def test_an_answer_larger_than_the_window_arrives_whole(sandbox):
    known(sandbox, ProviderKind.APNS)
    many(sandbox, [f"{number:064x}" for number in range(1000)])
    answer = call(f"{sandbox.url}/_sandbox/received", "", {}, http2=True, method="GET")
    assert len(answer.body["entries"]) == 1000


def test_a_body_that_is_too_large_is_refused(sandbox):
    with pytest.raises(pycurl.error):
        call(f"{sandbox.url}/v3/push", b"x" * (5 * 1024 * 1024), {}, http2=True)
    assert call(f"{sandbox.url}/_sandbox/stats", "", {}, http2=True, method="GET").status == 200
