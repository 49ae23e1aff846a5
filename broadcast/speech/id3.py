"""Marks MP3 files as synthetic: an ID3v2.3 tag with title, programme, making and source type."""

from __future__ import annotations

_HEADER = 10  # bytes
_ENCODING = b"\x01"  # UTF-16 with a byte order mark, which every reader of version 2.3 knows
_END = b"\x00\x00"


def tag(title: str, programme: str, making: str, source_type: str) -> bytes:
    """Returns the tag, which precedes the audio.

    ``source_type`` is the address of a term in IPTC's digital source types.
    """
    frames = (
        _frame(b"TIT2", _text(title)),
        _frame(b"TPE1", _text(programme)),
        _frame(b"TCON", _text("Speech")),
        _frame(b"COMM", b"eng" + _text("") + _END + _text(making)),
        _frame(b"TXXX", _text("DigitalSourceType") + _END + _text(source_type)),
    )
    body = b"".join(frames)
    # Bytes without the high bit, so that no decoder takes the size for audio.
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + size + body


def audio_of(data: bytes) -> bytes:
    """Returns the audio without the tag before it; only the first tag of a file is skipped."""
    if not data.startswith(b"ID3") or len(data) < _HEADER:
        return data
    size = 0
    for byte in data[6:_HEADER]:
        size = size << 7 | byte
    return data[_HEADER + size :]


def _frame(name: bytes, content: bytes) -> bytes:
    body = _ENCODING + content
    return name + len(body).to_bytes(4, "big") + b"\x00\x00" + body


def _text(text: str) -> bytes:
    return text.replace("\x00", "").encode("utf-16", "replace")
