import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.data.sources.urls.addresses import refusal

PRIVATE_V4 = ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "0.0.0.0/8",
              "100.64.0.0/10", "224.0.0.0/4", "240.0.0.0/4")  # fmt: skip
PRIVATE_V6 = ("::/128", "::1/128", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8")


def inside(networks: tuple[str, ...]) -> st.SearchStrategy[int]:
    """The numbers of addresses in one of `networks`."""
    ranges = [ipaddress.ip_network(network) for network in networks]
    return st.one_of(*(st.integers(int(net.network_address), int(net.broadcast_address)) for net in ranges))


@st.composite
def spelled_v4(draw: st.DrawFn) -> str:
    """A private IPv4 address in one of the spellings that some resolver accepts."""
    value = draw(inside(PRIVATE_V4))
    count = draw(st.integers(1, 4))
    numbers = [value >> (24 - 8 * place) & 0xFF for place in range(count - 1)]
    numbers.append(value & (2 ** (32 - 8 * (count - 1)) - 1))
    forms = ("{:d}", "0x{:x}", "0X{:X}", "0x000{:x}", "0{:o}", "000{:o}")
    host = ".".join(draw(st.sampled_from(forms)).format(number) for number in numbers)
    return draw(st.sampled_from((host, host + ".", fullwidth(host), percent(host), percent(percent(host)))))


@st.composite
def spelled_v6(draw: st.DrawFn) -> str:
    v4 = draw(inside(PRIVATE_V4))
    number = draw(
        st.one_of(
            inside(PRIVATE_V6),
            st.sampled_from(
                (
                    v4,
                    0xFFFF << 32 | v4,
                    0x0064_FF9B << 96 | v4,
                    0x2002 << 112 | v4 << 80,
                    0x2001_0000 << 96 | 0x0808_0808 << 64 | (v4 ^ 0xFFFF_FFFF),
                )
            ),
        )
    )
    address = ipaddress.IPv6Address(number)
    text = draw(st.sampled_from((address.compressed, address.exploded, address.exploded.upper())))
    return f"[{text}{draw(st.sampled_from(('', '%eth0', '%25eth0')))}]"


def fullwidth(text: str) -> str:
    return "".join(chr(ord(sign) + 0xFEE0) for sign in text)


def percent(text: str) -> str:
    return "".join(f"%{ord(sign):02x}" for sign in text)


@given(
    scheme=st.sampled_from(("http", "https", "HTTP", "hTTps")),
    user=st.sampled_from(("", "good@", "example.com@", "user:example.com@")),
    host=st.one_of(spelled_v4(), spelled_v6()),
    rest=st.sampled_from(("", "/", ":80/a.jpg", "?a=b", "#c", "/x@example.com/")),
)
def test_a_private_address_is_refused_in_any_spelling(scheme: str, user: str, host: str, rest: str) -> None:
    url = f"{scheme}://{user}{host}{rest}"
    assert refusal(url, allow_private=False) == "private_host"
    assert refusal(url, allow_private=True) is None


@given(st.one_of(st.text(), st.text().map(lambda text: f"http://{text}")), st.booleans())
def test_any_text_gets_an_answer(url: str, allow_private: bool) -> None:
    assert refusal(url, allow_private) in (None, "not_http", "private_host")


LABEL = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(
    lambda label: label[2:4] != "--"
)


@given(
    host=st.lists(LABEL, min_size=1, max_size=4).map(".".join),
    domain=st.sampled_from(("com", "co.uk", "org", "photos", "рф", "xn--p1ai")),
    path=st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=30),
)
def test_ordinary_urls_pass(host: str, domain: str, path: str) -> None:
    assert refusal(f"https://{host}.{domain}/{path}", allow_private=False) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8/a.jpg",
        "http://08.8.8.8/a.jpg",
        "http://[2606:4700::1111]:8080/a.jpg",
        "http://[::ffff:8.8.8.8]/",
        "http://[64:ff9b::808:808]/",
        "https://user:password@example.com:8443/a b.jpg?x=http://127.0.0.1/",
        "http://EXAMPLE.com./a.jpg",
        "http://my_site.example.com/a.jpg",
        "http://münchen.de/ü.jpg",
        "http://localhost.com/a.jpg",
    ],
)
def test_public_hosts_pass(url: str) -> None:
    assert refusal(url, allow_private=False) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/a.jpg",
        "//example.com/a.jpg",
        "http:/example.com/a.jpg",
        "http:\\\\example.com/a.jpg",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "<URL:file:///etc/passwd>",
        "pipe:cat /etc/passwd",
        "data:image/png;base64,AAAA",
        "ftp://example.com/a.jpg",
        "javascript:alert(1)",
        " http://example.com/a.jpg",
        "http://example.com/a\r\nHost: other.com",
        "http://example.com\t/a.jpg",
        "http://example.com\\@127.0.0.1/",
        "http://example.com%2f@127.0.0.1/",
        "http://127.0.0.1%00.example.com/",
        "http://exam ple.com/",
        "http://::1/",
        "http://[::1/",
        "http://[::1]a/",
        "http://127.0.0.1:80:80/",
    ],
)
def test_what_is_no_http_url_is_refused_whatever_the_setting(url: str) -> None:
    assert refusal(url, allow_private=False) == "not_http"
    assert refusal(url, allow_private=True) == "not_http"


@pytest.mark.parametrize(
    "host",
    [
        "", "localhost", "LOCALHOST.", "a.localhost", "printer.local", "metadata.google.internal", "intranet",
        "router.home.arpa", "localhost.localdomain", "localho%73t", "ｌｏｃａｌｈｏｓｔ", "127。0。0。1",
        "127\u20240\u20240\u20241", "①②⑦.0.0.1", "١٢٧.0.0.1", "127.1", "0", "256.1.1.1", "1.2.3.4.5",
        "4294967296",
        "0x", "[::ffff:7f00:1]", "[::ffff:0:127.0.0.1]", "[64:ff9b:1::1]", "[not-an-address:]",
    ],
)  # fmt: skip
def test_private_hosts_are_refused(host: str) -> None:
    assert refusal(f"http://{host}/", allow_private=False) == "private_host"
