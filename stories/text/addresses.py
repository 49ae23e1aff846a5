"""Web addresses: as published, in canonical form for comparison, and the public name of a source."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Mapping
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, unquote, unquote_plus, urljoin, urlsplit, urlunsplit

import idna

if TYPE_CHECKING:
    from tldextract import TLDExtract

from stories.text.sentences import word_set

MAX_URL = 2000

# Only parameters that track beyond doubt: sites use names such as ref, si, id or p for content.
_TRACKING = word_set("""
    gclid gclsrc dclid gbraid wbraid fbclid msclkid yclid ysclid twclid ttclid igshid igsh mc_cid
    mc_eid _ga _gl _hsenc _hsmi mkt_tok li_fat_id srsltid vero_id oly_enc_id oly_anon_id
    at_medium at_campaign
""")

_DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?|\[[0-9a-f:.]+\]")
_WEB = re.compile(r"https?://", re.IGNORECASE)
_PATH = "/%:@!$&'()*+,;=~-._"
_QUERY = _PATH + "?[]"


def published_url(url: str, base: str = "") -> str:
    """Returns a web address as it was published: resolved, with its parameters and its fragment.

    Only characters that no address may contain are encoded, as browsers do. Empty for an address
    that is not http(s), has a user name, is longer than 2,000 characters or cannot be parsed.
    """
    if len(url) > MAX_URL * 2:
        return ""
    tidy = _tidy(url)
    try:
        # An absolute address is not joined: urljoin would drop an empty query or fragment.
        absolute = tidy if _WEB.match(tidy) else urljoin(base, tidy)
        parts = urlsplit(absolute)
        host = _host(parts)
        if not parts.netloc.isascii() or "%" in parts.netloc:
            # Pages and feeds link addresses in ASCII, so the host is the encoded one.
            absolute = urlunsplit(parts._replace(netloc=host))
        web = re.sub("^https?", lambda scheme: scheme[0].lower(), absolute, flags=re.IGNORECASE)
        encoded = quote(web, safe=_QUERY + "#|{}^\\")
    # An address with half of a surrogate pair cannot be encoded.
    except ValueError:
        return ""
    return encoded if host and len(encoded) <= MAX_URL else ""


def canonical_url(url: str, base: str = "", *, fragment: bool = False) -> str:
    """Returns the canonical form of a web address, equal for all addresses of one page.

    Without tracking parameters, and without a fragment unless ``fragment`` or unless a script of the
    site shows another page for it (``#!/…``). Empty where ``published_url`` is.
    """
    if len(url) > MAX_URL * 2:
        return ""
    try:
        parts = urlsplit(urljoin(base, _tidy(url)) if base else _tidy(url))
        host = _host(parts)
        pairs = []
        for pair in filter(None, parts.query.split("&")):
            name = unquote_plus(pair.split("=", 1)[0]).lower()
            # Parameters that only track who follows the link differ between addresses of one page.
            if not name.startswith("utm_") and name not in _TRACKING:
                pairs.append(pair)
        query = quote("&".join(pairs), safe=_QUERY)
        path = quote(parts.path or "/", safe=_PATH)
        counts = fragment or parts.fragment.startswith(("!", "/"))
        anchor = quote(parts.fragment, safe=_QUERY) if counts else ""
    except ValueError:
        return ""
    canonical = urlunsplit((parts.scheme.lower(), host, path, query, anchor))
    return canonical if host and len(canonical) <= MAX_URL else ""


def link_key(url: str, *, fragment: bool = False) -> str:
    """Returns the canonical form without scheme and ``www.``: equal after a site moved to https."""
    return re.sub(r"^https?://(www\.(?=[^/]*\.))?", "", canonical_url(url, fragment=fragment))


def key_forms(key: str) -> list[str]:
    """Returns the addresses that have this ``link_key``: with both schemes, and with ``www.``."""
    return [f"{scheme}://{www}{key}" for scheme in _DEFAULT_PORTS for www in ("", "www.")]


def _tidy(url: str) -> str:
    return re.sub(r"[\t\r\n]", "", url.strip(" \t\r\n\0\x0b\x0c"))


def _host(parts: SplitResult) -> str:
    """Returns host and port in canonical form; empty for an address that must not be linked."""
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS or "@" in parts.netloc or "\\" in parts.netloc + parts.path[:1]:
        return ""
    host = ascii_host(parts.hostname or "")
    if ":" in host:
        host = f"[{host}]"  # IPv6
    if not _HOST.fullmatch(host):
        return ""
    host = host.rstrip(".")
    return host if parts.port in (None, _DEFAULT_PORTS[scheme]) else f"{host}:{parts.port}"


def credit(locator: str) -> str:
    """Returns the public name of a source: of an address only the host, as its query may hold a key."""
    if "://" not in locator:
        return locator
    return (urlsplit(locator).hostname or "").removeprefix("www.")


def ascii_host(host: str) -> str:
    """Returns the ASCII form of a host name by IDNA 2008, as browsers do: faß.de is xn--fa-hia.de.

    Raises ValueError for a name that cannot exist. Python's own "idna" codec follows IDNA 2003,
    by which faß.de is fass.de: another site.
    """
    # Browsers decode a host that is percent-encoded, as in a Location header.
    decoded = unquote(host, errors="strict") if "%" in host and ":" not in host else host
    if decoded.isascii():
        return decoded.lower()
    labels = []
    for label in idna.uts46_remap(decoded, std3_rules=False, transitional=False).split("."):
        if label.isascii():
            labels.append(label)
            continue
        try:
            labels.append(idna.alabel(label).decode("ascii"))
        except idna.InvalidCodepoint:
            # IDNA 2008 has no symbols such as ☃, but there are such names and browsers read them.
            labels.append("xn--" + label.encode("punycode").decode("ascii"))
    return ".".join(labels)


# Endings of host names that are on no list, as they are reserved.
_RESERVED = frozenset({"example", "test", "invalid", "localhost", "local", "internal", "onion"})
# Endings that are English words: with a capital they begin a sentence after a missing space.
_WORD_ENDINGS = word_set("it is in me my no so to at be as am do us by he we this the and but or")
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_TAIL = r"[^\s<>\"'\u201c\u201d()\[\]]*"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_STOPS = ".,;:!?"
# What leads somewhere: a scheme with any slashes, www., an IP address, a handle, a telephone number.
_POINTER = re.compile(
    rf"\b[a-z][a-z0-9+.-]{{1,15}}:[/\\\\]+{_TAIL}|\bwww\.{_TAIL}|\b(?:mailto|tel|sms|skype|magnet):{_TAIL}"
    rf"|(?<![\w.])(?:{_OCTET}\.){{3}}{_OCTET}(?![\w.]*\w)(?::\d{{1,5}})?(?:[/\\\\]{_TAIL})?"
    rf"|\[(?:[0-9a-f.]*+:){{2,}}+[0-9a-f.]*+\](?::\d{{1,5}})?(?:[/\\\\]{_TAIL})?"
    r"|(?<![\w@.])@[\w.-]{1,64}(?:@[\w.-]{1,100})?"
    r"|(?<![\w.,])(?:\+|00)\d(?:[\s().\-/]{0,2}\d){6,14}(?!\w)"
    r"|(?<![\w.,])\(?\d{3}\)?[\s.-]\d{3}[\s.-]\d{4}(?!\w)"
    r"|(?<=\b(?:call|dial|ring|text) )\d(?:[\s().\-/]?\d){4,14}(?!\w)"
    r"|(?<=\bphone )\d(?:[\s().\-/]?\d){4,14}(?!\w)|(?<=\bwhatsapp )\d(?:[\s().\-/]?\d){4,14}(?!\w)",
    re.IGNORECASE,
)
# A name that may be a host, with a user, a port and a path.
_NAME = re.compile(
    rf"(?<![\w.@-])(?P<user>[\w.+-]{{1,64}}@)?(?P<host>(?:{_LABEL}[.\uff0e]){{1,8}}{_LABEL})"
    rf"(?P<rest>(?::\d{{1,5}})?(?:[/\\\\?#]{_TAIL})?)"
)
_MAY_BE_HOST = re.compile(r"[^\W_][.\uff0e][^\W_]")


@cache
def _suffixes() -> TLDExtract:
    # Imported late, as few processes need it. The list inside the package; nothing is fetched.
    from tldextract import TLDExtract

    return TLDExtract(cache_dir=None, suffix_list_urls=(), fallback_to_snapshot=True)


def site_of(host: str) -> tuple[str, str]:
    """Returns the name and the public suffix of a host: ("bbc", "co.uk"); empty if it is no host."""
    host = unicodedata.normalize("NFKC", host).lower()
    labels = host.split(".")
    if labels[-1] in _RESERVED:
        return (labels[-2] if len(labels) > 1 else "", labels[-1])
    found = _suffixes()(host)
    return (found.domain, found.suffix) if found.suffix else ("", "")


def sites_in(text: str) -> set[str]:
    """Returns the sites whose host names a text contains, as ``name.suffix``."""
    found = (site_of(match["host"]) for match in _NAME.finditer(text))
    return {".".join(site) for site in found if all(site)}


def without_addresses(
    text: str, outlets: Mapping[str, str] | None = None, names: Container[str] | None = None
) -> str:
    """Returns a text in which nothing leads anywhere: addresses, handles and telephone numbers.

    An address of an outlet, by its site, becomes the name of the outlet. A bare host name loses its
    ending ("Booking.com": "Booking") if its site is among ``names``. Everything else is removed.
    """
    named = outlets or {}

    def pointer(match: re.Match[str]) -> str:
        stop = match[0][len(match[0].rstrip(_STOPS)) :]
        host = re.search(rf"(?:{_LABEL}\.)+{_LABEL}", match[0])
        if host is None or "@" in match[0]:
            return stop
        return named.get(".".join(site_of(host[0])), "") + stop

    def name(match: re.Match[str]) -> str:
        before, _, ending = match["host"].replace("\uff0e", ".").rpartition(".")
        if ending.istitle() and ending.lower() in _WORD_ENDINGS and not match["rest"]:
            return match[0]
        domain, suffix = site_of(match["host"])
        if not domain or not suffix:
            return match[0]
        stop = match[0][len(match[0].rstrip(_STOPS)) :]
        if match["user"]:
            return stop
        if outlet := named.get(f"{domain}.{suffix}"):
            return outlet + stop
        spelled = next((part for part in before.split(".") if part.lower() == domain), domain)
        may_be_named = names is None or f"{domain}.{suffix}" in names
        return (spelled if may_be_named and not match["rest"].strip(_STOPS) else "") + stop

    found = _POINTER.sub(pointer, text)
    return _NAME.sub(name, found) if _MAY_BE_HOST.search(found) else found
