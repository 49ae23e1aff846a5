"""Web addresses: their canonical form, and the public name of a source."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, unquote_plus, urljoin, urlsplit, urlunsplit

from stories.text.hosts import ascii_host
from stories.text.words import word_set

MAX_URL = 2000

_TRACKING = word_set("""
    gclid gclsrc dclid gbraid wbraid fbclid msclkid yclid twclid igshid igsh mc_cid mc_eid _ga
    _gl ref ref_src ref_source ref_url referrer cmpid cmp ncid smid xtor mkt_tok share_id si
    at_medium at_campaign rss spm
""")

_DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?|\[[0-9a-f:.]+\]")


def canonical_url(url: str, base: str = "") -> str:
    """Returns the canonical form of a web address, equal for all addresses of one page.

    Empty for an address that is not http(s), has a user name, is longer than 2,000 characters or
    cannot be parsed.
    """
    if len(url) > MAX_URL * 2:
        return ""
    tidy = re.sub(r"[\t\r\n]", "", url.strip(" \t\r\n\0\x0b\x0c"))
    try:
        parts = urlsplit(urljoin(base, tidy) if base else tidy)
        canonical = _canonical(parts)
    except ValueError:
        return ""
    return canonical if len(canonical) <= MAX_URL else ""


def _canonical(parts: SplitResult) -> str:
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS or "@" in parts.netloc or "\\" in parts.netloc + parts.path[:1]:
        return ""
    host = ascii_host(parts.hostname or "")
    if ":" in host:
        host = f"[{host}]"  # IPv6
    if not _HOST.fullmatch(host):
        return ""
    if parts.port not in (None, _DEFAULT_PORTS[scheme]):
        host = f"{host.rstrip('.')}:{parts.port}"
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    pairs = []
    for pair in filter(None, parts.query.split("&")):
        # Parameters that only track who follows the link differ between addresses of one page.
        name = unquote_plus(pair.split("=", 1)[0]).lower()
        if not name.startswith("utm_") and name not in _TRACKING:
            pairs.append(pair)
    query = "&".join(pairs)
    return urlunsplit(
        (scheme, host.rstrip("."), path, quote(query, safe="/%:@!$&'()*+,;=~-._?[]"), "")
    )


def credit(locator: str) -> str:
    """Returns the public name of a source: of an address only the host, as its query may hold a key."""
    if "://" not in locator:
        return locator
    return (urlsplit(locator).hostname or "").removeprefix("www.")
