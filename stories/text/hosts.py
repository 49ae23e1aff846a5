"""Host names beyond ASCII, written as DNS knows them."""

from __future__ import annotations

from urllib.parse import unquote

import idna


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
