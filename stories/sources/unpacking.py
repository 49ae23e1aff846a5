"""Undo gzip and deflate piece by piece, so that a bomb can be left before it goes off."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

_PIECE = 64 * 1024
_GZIP = zlib.MAX_WBITS | 16
_GZIP_START = b"\x1f\x8b"


def unpacked(packed: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the content in small pieces; ValueError or zlib.error when broken or cut short."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        yield from packed
    elif encoding in {"gzip", "x-gzip"}:
        yield from _inflated(packed, _GZIP)
    elif encoding == "deflate":
        yield from _inflated(packed, None)
    else:
        raise ValueError(encoding)


def _inflated(packed: Iterable[bytes], bits: int | None) -> Iterator[bytes]:
    """``bits`` None: deflate, which some servers send with and some without its zlib header."""
    decoder = None
    for piece in packed:
        if decoder is None:
            headed = piece[0] & 0x8F == 8
            decoder = zlib.decompressobj(bits or (zlib.MAX_WBITS if headed else -zlib.MAX_WBITS))
        rest = piece
        while rest:
            if decoder.eof:
                if not _GZIP_START.startswith(rest[:2]):
                    return
                decoder = zlib.decompressobj(_GZIP)
            yield decoder.decompress(rest, _PIECE)
            rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    if decoder is not None and not decoder.eof:
        yield decoder.flush()
        if not decoder.eof:
            raise ValueError("cut short")
