"""Untrusted text in the formats that programs act upon."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

# Spreadsheets take a cell that begins so for a formula, also after spaces and in full width.
_FORMULA = re.compile(r"\s*[=+\-@|%\t\r\n＝＋－＠｜％]")  # noqa: RUF001
_MARKS = re.compile(r"([\\`*_\[\]<>#|~$&])")
_LINE_OPENER = re.compile(r"^(\s*)([-+=:]|\d{1,9}[.)])", re.MULTILINE)


def cell(value: Any) -> Any:
    """A cell that no spreadsheet reads as a formula; numbers stay numbers."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    if isinstance(value, str):
        text = value.replace("\x00", "")
        return f"'{text}" if _FORMULA.match(text) else text
    return value


def markdown(text: str) -> str:
    """Text that Markdown shows as it is: no heading, list, link, image, code or HTML."""
    marked = _MARKS.sub(r"\\\1", text.replace("\r", ""))
    return _LINE_OPENER.sub(r"\1\\\2", marked)


def markdown_link(text: str, url: str) -> str:
    """A link, or the text alone where the address is no ordinary one."""
    parts = urlsplit(url) if url.isprintable() else urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return markdown(text)
    address = url.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")
    return f"[{markdown(text)}](<{address}>)"


_CAPTION = str.maketrans({"<": "(", ">": ")", "{": "(", "}": ")", "\\": "/", "\x00": None})


def caption(text: str) -> str:
    """Text that players neither take for their own marks nor for the next cue."""
    return " ".join(text.replace("-->", "→").translate(_CAPTION).split())
