"""Which URLs may be downloaded: http(s) ones whose host is not a machine of our own network.

This file uses nothing but the standard library, since the downloader's processes import it too (guard.py).
"""

import ipaddress
import re
import unicodedata
from itertools import product
from urllib.parse import unquote

NOT_HTTP = "not_http"
PRIVATE_HOST = "private_host"

PRIVATE_NAMES = (
    "localhost", "localdomain", "local", "internal", "home.arpa", "lan", "intranet", "corp",
)  # fmt: skip
"""Names, with all that ends in them, that no public name server knows."""

_HTTP = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PLAIN = re.compile(r"[\w.:@-]*", re.ASCII)
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def refusal(url: str, allow_private: bool) -> str | None:
    """Why `url` is not downloaded: "not_http", "private_host", or None if it may be.

    Every spelling of an address that some resolver accepts is understood. Names are not resolved: a list such
    as CC12M has 12 million of them, and the answer could change until the download. What a name or a redirect
    leads to is judged when the connection is made (guard.py).
    """
    found = _HTTP.match(url)
    if found is None or _CONTROL.search(url):
        return NOT_HTTP
    authority = _unquoted(found[1])
    if not _PLAIN.fullmatch(authority) and any(map(_is_ambiguous, authority)):
        return NOT_HTTP
    host = _host(authority.rpartition("@")[2])
    if host is None:
        return NOT_HTTP
    return None if allow_private or _is_public_host(host) else PRIVATE_HOST


def is_public(address: Address) -> bool:
    """Whether `address` is one of the open internet and leads to no other one that is not."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        inner = (address.sixtofour, *(address.teredo or ()))
        if address.is_site_local or not all(is_public(item) for item in inner if item is not None):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _is_ambiguous(sign: str) -> bool:
    """A sign that ends the host for one parser and not for another: it must not decide who is asked."""
    return sign in '/?#\\<>"' or unicodedata.category(sign)[0] in "CZ"


def _unquoted(text: str) -> str:
    """Without percent signs that hide something, however often they were laid over one another."""
    for _ in range(8):
        plain = unquote(text)
        if plain == text:
            break
        text = plain
    return text


def _host(authority: str) -> str | None:
    """The host in lower-case ASCII without port; None if there is no telling what the host is."""
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        return host.lower() if bracket and re.fullmatch(r"(:[0-9]*)?", rest) and ":" in host else None
    host, _, port = authority.partition(":")
    if not re.fullmatch(r"[0-9]*", port):
        return None  # such as ::1 without brackets
    if not host.isascii():
        # Digits of other scripts first: the IDNA rules keep some of them, and resolvers differ.
        host = "".join(str(unicodedata.digit(sign, sign)) for sign in host)
    try:
        return host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:
        return None


def _is_public_host(host: str) -> bool:
    if ":" in host:
        try:
            return is_public(ipaddress.IPv6Address(host.partition("%")[0]))
        except ValueError:
            return False
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        readings = _ipv4_readings(labels)
        return bool(readings) and all(is_public(address) for address in readings)
    if len(labels) < 2:  # a bare name is looked up in the local domain
        return False
    return not any(host == name or host.endswith(f".{name}") for name in PRIVATE_NAMES)


def _ipv4_readings(labels: list[str]) -> list[ipaddress.IPv4Address]:
    """Every address that `labels` may mean: one to four numbers, the last of which fills what is left.

    A leading zero means octal to some resolvers and nothing to others, so both readings count. Too large a
    number is an error to some and cut to its low bits by others.
    """
    if len(labels) > 4 or not all(_NUMBER.fullmatch(label) and len(label) <= 64 for label in labels):
        return []
    readings = []
    for numbers in product(*(_numbers(label) for label in labels)):
        *heads, last = numbers
        value = sum((head & 0xFF) << (24 - 8 * place) for place, head in enumerate(heads))
        readings.append(ipaddress.IPv4Address(value + (last & (2 ** (32 - 8 * len(heads)) - 1))))
    return readings


def _numbers(label: str) -> set[int]:
    if label.startswith("0x"):
        return {int(label[2:] or "0", 16)}
    octal = {int(label, 8)} if label.startswith("0") and re.fullmatch("[0-7]+", label) else set()
    return octal | {int(label)}
