import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushes.providers.base import HttpRequest
from pushes.providers.http2_head import Origin, head_of

PATHS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=300)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], max_codepoint=0xFFFF), max_size=500)
NAMES = st.from_regex(r"x-[a-zA-Z0-9_-]{1,200}", fullmatch=True)


def decoded(request: HttpRequest) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in hpack.Decoder().decode(head_of(request).block, raw=True)]


@given(PATHS, st.dictionaries(NAMES, VALUES, max_size=5), st.binary(min_size=1, max_size=300))
def test_a_decoder_reads_what_was_written(path: str, headers: dict[str, str], body: bytes):
    lines = tuple(f"{name}: {value}" for name, value in headers.items())
    found = decoded(HttpRequest(f"https://example.com:2197/{path}", body, lines, http2=True))
    assert found == [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "example.com:2197"),
        (":path", f"/{path}"),
        ("content-length", str(len(body))),
        *[(name.lower(), value.strip(" \t")) for name, value in headers.items()],
    ]


@given(st.integers(0, 70_000))
def test_a_value_of_any_length(length: int):
    decoder = hpack.Decoder(max_header_list_size=100_000)
    block = head_of(HttpRequest("http://a/", b"x", (f"long: {'v' * length}",))).block
    name, value = list(decoder.decode(block, raw=True))[-1]
    assert (name, value) == (b"long", b"v" * length)


def test_a_head_leaves_the_servers_table_as_it_is():
    """So it may be written in any order, and again on another connection."""
    decoder = hpack.Decoder()
    decoder.decode(head_of(HttpRequest("http://a/", b"x", ("one: 1", "authorization: secret"))).block)
    assert len(decoder.header_table.dynamic_entries) == 0


def test_nobody_on_the_way_may_keep_what_authorizes():
    block = head_of(HttpRequest("http://a/", b"x", ("Authorization: secret",))).block
    assert isinstance(list(hpack.Decoder().decode(block))[-1], hpack.NeverIndexedHeaderTuple)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.example.com/3/device/x", Origin("https", "api.example.com", 443)),
        ("http://API.example.com", Origin("http", "api.example.com", 80)),
        ("https://[::1]:2197/", Origin("https", "[::1]", 2197)),
    ],
)
def test_where_a_request_goes(url: str, origin: Origin):
    assert head_of(HttpRequest(url, b"x")).origin == origin
