"""Where calls may go: by name before a call, by address when a connection is opened."""

import pytest
from django.utils import translation
from pytest_django import Settings

from pushes.providers import hosts
from pushes.providers.base import HttpRequest, HttpResponse, TransportFailure
from pushes.providers.hosts import HostRefusedError, guard
from pushes.providers.http import HttpWindow
from pushes.providers.one_shot import calls
from tests.pushes.providers.raw_server import answering, serving

LISTED = [
    "gateway.example.com",
    "http://plain.example.com:8080",
    "127.0.0.1:8790",
    "[::1]:8790",
    "https://secure.example.com:8443",
    "10.1.2.3",
]


@pytest.fixture(autouse=True)
def listed(settings: Settings) -> None:
    settings.PROVIDER_HOSTS = LISTED
    settings.SANDBOX_URL = "http://127.0.0.1:8700"


@pytest.mark.parametrize(
    "url",
    [
        "http://openapi.xg.qq.com",
        "https://openapi.xg.qq.com/v2/push/single_device",
        "https://api.tpns.tencent.com:443",
        "https://api.tpns.sgp.tencent.com/",
        "http://127.0.0.1:8700/v2",
        "https://gateway.example.com/xg",
        "https://gateway.example.com:8080",
        "http://plain.example.com:8080/xg",
        "HTTPS://Gateway.Example.COM./xg",
        "http://127.0.0.1:8790",
        "http://[::1]:8790",
        "http://[0:0:0:0:0:0:0:1]:8790/a",
        "https://secure.example.com:8443",
        "http://10.1.2.3:9",
    ],
)
def test_the_vendors_the_sandbox_and_the_listed_hosts_may_be_called(url: str):
    assert hosts.fault(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "http://api.tpns.tencent.com",  # TPNS has no plain HTTP
        "https://openapi.xg.qq.com:8443",
        "https://example.com",
        "https://gateway.example.com.evil.test",
        "https://evilgateway.example.com",
        "http://127.0.0.1:8791",
        "http://127.0.0.1",
        "http://127.1:8790",
        "http://2130706433:8790",
        "http://0x7f.0.0.1:8790",
        "http://localhost:8790",
        "http://[::ffff:127.0.0.1]:8790",
        "http://[::1]",
        "http://169.254.169.254/latest/meta-data/",
        "http://gateway.example.com",
        "http://gateway.example.com:443",
        "https://plain.example.com:8080",
        "http://plain.example.com",
        "http://secure.example.com:8443",
        "https://secure.example.com",
        "http://10.1.2.4",
    ],
)
def test_no_other_may(url: str):
    assert "PROVIDER_HOSTS" in hosts.fault(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "gateway.example.com",
        "ftp://gateway.example.com",
        "file:///etc/passwd",
        "http://",
        "http:///x",
        "http://gateway.example.com:port",
        "http://gateway.example.com:0",
        "http://gateway.example.com:65536",
        "http://gateway.example.com\\@evil.test",
        "http://gateway.example.com\t.evil.test",
        "http://gateway.example.com /x",
        "http://gateway.example.com/a b",
        "http://gateway.example.com/?to=x",
        "http://gateway.example.com/#x",
        "http://gateway.example.com#@evil.test/",
        "http://例子.test",
        "http://gateway。example.com",
        "http://[fe80::1%25eth0]/",
        "http://gateway.example.com/\r\nHost: evil",
    ],
)
def test_what_could_be_read_in_two_ways_is_no_endpoint(url: str):
    assert hosts.fault(url)


@pytest.mark.parametrize("url", ["http://user:s3cret@gateway.example.com", "https://token@gateway.example.com:8080/x"])
def test_users_and_passwords_are_refused_and_not_repeated(url: str):
    assert hosts.fault(url) == "An endpoint URL must not contain a user name or a password. Remove them."


@pytest.mark.parametrize(
    ("listed", "url", "is_allowed"),
    [
        ("8.8.8.8", "http://8.8.8.8", False),
        ("8.8.8.8", "https://8.8.8.8", True),
        ("http://8.8.8.8", "http://8.8.8.8", True),
        ("localhost", "http://localhost:8790", True),
        ("192.168.0.4:80", "http://192.168.0.4", True),
        ("[fd00::4]", "http://[fd00::4]:8080", True),
        ("sandbox:8790", "http://sandbox:8790", False),
        ("api.tpns.tencent.com", "http://api.tpns.tencent.com", False),
        ("openapi.xg.qq.com", "http://openapi.xg.qq.com", True),
    ],
)
def test_plain_http_over_open_networks_must_be_listed_as_such(
    settings: Settings, listed: str, url: str, is_allowed: bool
):
    settings.PROVIDER_HOSTS = [listed]
    assert (hosts.fault(url) == "") is is_allowed


def test_a_vendors_name_that_leads_to_a_gateway_of_ours_is_listed(settings: Settings):
    assert guard("http://openapi.xg.qq.com").fault("10.0.0.8")
    settings.PROVIDER_HOSTS = ["openapi.xg.qq.com"]
    assert guard("http://openapi.xg.qq.com").fault("10.0.0.8") == ""


def test_without_a_list_the_vendors_and_the_sandbox_are_left(settings: Settings):
    settings.PROVIDER_HOSTS = []
    assert hosts.fault("https://gateway.example.com")
    assert not hosts.fault("http://openapi.xg.qq.com")
    assert not hosts.fault("http://127.0.0.1:8700")


def test_an_international_name_is_written_as_name_servers_have_it():
    assert hosts.ascii_url("https://例子.test:8443/a") == "https://xn--fsqu00a.test:8443/a"
    assert hosts.ascii_url("https://Gateway.example.com/ü") == "https://Gateway.example.com/ü"
    assert hosts.ascii_url("nothing") == "nothing"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "172.16.0.9",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "fe80::1",
        "fc00::1",
        "224.0.0.1",
        "0.0.0.0",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "what?",
    ],
)
def test_a_vendors_name_leads_into_no_network_of_ours(address: str):
    assert guard("http://openapi.xg.qq.com").fault(address)


@pytest.mark.parametrize("address", ["14.17.32.1", "2001:4860:4860::8888", "64:ff9b::808:808"])
def test_it_may_lead_anywhere_else(address: str):
    assert guard("http://openapi.xg.qq.com").fault(address) == ""


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "192.168.1.1", "fc00::1", "14.17.32.1"])
def test_a_host_that_was_chosen_here_may_be_in_our_network(address: str):
    assert guard("https://gateway.example.com").fault(address) == ""


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "fe80::1", "224.0.0.1", "::ffff:169.254.169.254"]
)
def test_but_never_where_machines_keep_their_secrets(address: str):
    assert guard("https://gateway.example.com").fault(address)


def test_an_address_that_is_listed_itself_was_meant(settings: Settings):
    settings.PROVIDER_HOSTS = ["169.254.1.9"]
    assert guard("http://169.254.1.9/").fault("169.254.1.9") == ""
    assert guard("http://169.254.1.9/").fault("169.254.1.8")


# --- real connections -----------------------------------------------------------------------------


def request_to(url: str) -> HttpRequest:
    return HttpRequest(url, b"a=1")


def test_the_address_is_looked_at_when_connecting_and_nothing_is_opened(settings: Settings):
    """`localhost` stands for any name: what it leads to is asked of the system, and is not what was allowed."""
    settings.PROVIDER_HOSTS = ["localhost"]

    def vendor(url: str) -> hosts.Guard:
        return hosts.Guard(guard(url).place, is_chosen=False)

    with serving(answering()) as server:
        (refused,) = calls([request_to(server.url)], 2, vendor)
        (allowed,) = calls([request_to(server.url)], 2, guard)
        assert isinstance(refused, TransportFailure)
        assert (refused.was_sent, server.connections) == (False, 1)
    assert "localhost leads to" in refused.text
    assert not isinstance(allowed, TransportFailure)


def test_the_window_asks_for_every_request(settings: Settings):
    settings.PROVIDER_HOSTS = ["localhost"]
    window = HttpWindow(2, timeout_seconds=2, guard=guard)
    with serving(answering()) as server:
        window.add("fine", request_to(server.url))
        with pytest.raises(HostRefusedError):
            window.add("not", request_to(server.url.replace("localhost", "127.0.0.1")))
        [(tag, answer)] = window.collect(5)
        assert (tag, isinstance(answer, HttpResponse)) == ("fine", True)
        window.add("again", request_to(server.url))
        assert [tag for tag, _ in window.collect(5)] == ["again"]
        assert server.connections == 1
    window.close()


def test_a_proxy_of_the_environment_is_no_way_round(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    settings.PROVIDER_HOSTS = ["localhost"]
    with serving(answering()) as proxy, serving(answering()) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        (answer,) = calls([request_to(server.url)], 2, guard)
        assert not isinstance(answer, TransportFailure)
        assert proxy.connections == 0


def test_the_reason_is_in_the_readers_language():
    with translation.override("zh-hans"):
        assert "PROVIDER_HOSTS" in hosts.fault("https://example.com")
