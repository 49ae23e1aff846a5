"""Writing a ZIP piece by piece, without ever going back: to a pipe, or on after an interruption.

The module of the standard library writes the list of members from memory when it is closed; here
the list is plain JSON, so that a step can leave it to the next one. Each member is followed by its
sizes, as streams have them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_STREAMED_UTF8, _DEFLATED, _VERSION, _UNIX = 0x0808, 8, 45, 3 << 8
_MODE = 0o100600 << 16
_MOST_32, _MOST_16 = 0xFFFFFFFF, 0xFFFF
_LARGE = 1 << 30  # bytes; beyond this a member's sizes are written in 64 bits


@dataclass(slots=True)
class Entry:
    """One member as the list at the end names it; ``rows`` is for the manifest."""

    name: str
    offset: int
    crc: int = 0
    packed: int = 0
    size: int = 0
    sha256: str = ""
    rows: int = 0


class Zipper:
    """A ZIP as far as it has been written; ``state`` is JSON and makes another one that goes on."""

    def __init__(self, at: datetime, state: dict[str, Any] | None = None) -> None:
        found = state or {"offset": 0, "entries": []}
        self.offset: int = found["offset"]
        self.entries = [Entry(**each) for each in found["entries"]]
        self._time = at.hour << 11 | at.minute << 5 | at.second // 2
        self._date = (at.year - 1980) << 9 | at.month << 5 | at.day

    @property
    def state(self) -> dict[str, Any]:
        return {"offset": self.offset, "entries": [asdict(each) for each in self.entries]}

    def member(self, name: str, chunks: Iterable[bytes], size: int = 0) -> Iterator[bytes]:
        """The bytes of one member; ``size`` is about what it will be. Then it is in ``entries``."""
        entry = Entry(name, self.offset)
        large = size >= _LARGE
        yield self._count(self._local(name, large))
        digest, press = sha256(), zlib.compressobj(6, zlib.DEFLATED, -15)
        for chunk in chunks:
            digest.update(chunk)
            entry.crc = zlib.crc32(chunk, entry.crc)
            entry.size += len(chunk)
            packed = press.compress(chunk)
            entry.packed += len(packed)
            yield self._count(packed)
        rest = press.flush()
        entry.packed += len(rest)
        sizes = "<4sLQQ" if large else "<4s3L"
        found = struct.pack(sizes, b"PK\x07\x08", entry.crc, entry.packed, entry.size)
        yield self._count(rest + found)
        entry.sha256 = digest.hexdigest()
        self.entries.append(entry)

    def _count(self, data: bytes) -> bytes:
        self.offset += len(data)
        return data

    def _local(self, name: str, large: bool) -> bytes:
        extra = struct.pack("<2H2Q", 1, 16, 0, 0) if large else b""
        unknown = _MOST_32 if large else 0
        encoded = name.encode()
        head = _LOCAL.pack(
            b"PK\x03\x04", _VERSION, _STREAMED_UTF8, _DEFLATED, self._time, self._date,
            0, unknown, unknown, len(encoded), len(extra),
        )  # fmt: skip
        return head + encoded + extra

    def end(self) -> bytes:
        """The list of the members, which makes it a ZIP."""
        listed = b"".join(map(self._central, self.entries))
        number, size, start = len(self.entries), len(listed), self.offset
        more = b""
        if number >= _MOST_16 or start >= _MOST_32:
            more = _END_64.pack(
                b"PK\x06\x06", _END_64.size - 12, _VERSION | _UNIX, _VERSION, 0, 0,
                number, number, size, start,
            ) + _LOCATOR.pack(b"PK\x06\x07", 0, start + size, 1)  # fmt: skip
        few, here = min(number, _MOST_16), min(start, _MOST_32)
        return listed + more + _END.pack(b"PK\x05\x06", 0, 0, few, few, size, here, 0)

    def _central(self, entry: Entry) -> bytes:
        sizes = (entry.size, entry.packed, entry.offset)
        beyond = [each for each in sizes if each >= _MOST_32]
        extra = struct.pack(f"<2H{len(beyond)}Q", 1, 8 * len(beyond), *beyond) if beyond else b""
        size, packed, offset = (min(each, _MOST_32) for each in sizes)
        encoded = entry.name.encode()
        head = _CENTRAL.pack(
            b"PK\x01\x02", _VERSION | _UNIX, _VERSION, _STREAMED_UTF8, _DEFLATED, self._time,
            self._date, entry.crc, packed, size, len(encoded), len(extra), 0, 0, 0, _MODE, offset,
        )  # fmt: skip
        return head + encoded + extra
