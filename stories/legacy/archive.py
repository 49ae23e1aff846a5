"""A snapshot export of the old system: one zip, of which the lines of three tables are read.

Nothing is ever unpacked to a path, and nothing is read further than a bound: a line, a table and
how much more comes out than went in.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sessions_app.errors import Invalid

TABLES = ("sessions", "story_history", "token_usage")
DOCUMENTS = "documents.jsonl"
MOST_ENTRIES = 100_000
MOST_BYTES = 8 * 1024**3
MOST_RATIO = 100
FREE_BYTES = 64 * 1024**2  # unpacked, before the ratio is looked at: one long line is no bomb
LONGEST_LINE = 2 * 1024**2  # twice what the old system took
CHUNK = 1 << 18
_ENCRYPTED = 1


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank; ``error`` says why it cannot be read, and then ``raw`` is empty."""

    number: int
    raw: bytes
    error: str = ""


class Snapshot:
    """The zip at ``path``; raises Invalid where it is none, or holds no table that is known."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            raise Invalid(f"{path.name} is not a zip, or it is damaged.") from None
        except OSError as error:
            raise Invalid(f"{path.name}: {error.strerror}.") from None
        try:
            self.tables = _tables(self._zip.infolist())
        except Invalid:
            self._zip.close()
            raise

    def close(self) -> None:
        self._zip.close()

    @property
    def bytes(self) -> int:
        """How much is to be read, as the zip says of itself."""
        return sum(each.file_size for each in self.tables.values())

    def lines(self, table: str) -> Iterator[Line]:
        """The lines of a table that are not blank, numbered from 1; none where it is missing.

        What cannot be read is a line with an error. After a damaged or bursting stretch it is the
        last one.
        """
        member = self.tables.get(table)
        if member is None:
            return
        splitter = _Splitter()
        try:
            with self._zip.open(member) as stream:
                yield from splitter.split(_bounded(iter(lambda: stream.read(CHUNK), b""), member))
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            yield splitter.broken(_sentence(error, member))
        except Invalid as error:
            yield splitter.broken(error.sentence)


def _tables(entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The member of each table: at the top, or in the one folder that was zipped."""
    if len(entries) > MOST_ENTRIES:
        raise Invalid(f"The zip holds more than {MOST_ENTRIES:,} files.")
    found: dict[str, list[zipfile.ZipInfo]] = {}
    for entry in entries:
        parts = PurePosixPath(entry.filename).parts
        if len(parts) >= 2 and parts[-1] == DOCUMENTS and parts[-2] in TABLES and _plain(parts):
            found.setdefault(parts[-2], []).append(entry)
    chosen = {table: _highest(table, some) for table, some in found.items()}
    folders = {PurePosixPath(each.filename).parts[:-2] for each in chosen.values()}
    if len(folders) > 1:
        raise Invalid("The tables lie in different folders of the zip. Zip one export alone.")
    if not chosen:
        raise Invalid(f"The zip holds none of the tables {', '.join(TABLES)}.")
    return chosen


def _plain(parts: tuple[str, ...]) -> bool:
    """Neither out of the zip's own folder, nor a component's table that bears the same name."""
    return not any(part in {"..", "/"} or part.startswith("_") for part in parts)


def _highest(table: str, some: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    depth = min(len(PurePosixPath(each.filename).parts) for each in some)
    top = [each for each in some if len(PurePosixPath(each.filename).parts) == depth]
    if len(top) > 1:
        raise Invalid(f"The zip holds the table {table} more than once.")
    return top[0]


def _bounded(chunks: Iterator[bytes], member: zipfile.ZipInfo) -> Iterator[bytes]:
    size = 0
    most = max(FREE_BYTES, MOST_RATIO * member.compress_size)
    for chunk in chunks:
        size += len(chunk)
        if size > min(most, MOST_BYTES):
            raise Invalid("It unpacks to far more than an export does; the rest was not read.")
        yield chunk


def _sentence(error: Exception, member: zipfile.ZipInfo) -> str:
    if member.flag_bits & _ENCRYPTED:
        return "It is encrypted."
    if isinstance(error, NotImplementedError):
        return "It is packed in a way that cannot be read here."
    return "The zip is damaged from here on; the rest could not be read."


class _Splitter:
    """Lines out of chunks; of one that is too long only so much is ever held."""

    def __init__(self) -> None:
        self._number = 0
        self._rest = b""
        self._skipping = False

    def split(self, chunks: Iterator[bytes]) -> Iterator[Line]:
        for chunk in chunks:
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            for each in whole:
                yield from self._line(each)
            if len(self._rest) > LONGEST_LINE:
                self._rest, self._skipping = b"", True
        if self._rest or self._skipping:
            yield from self._line(self._rest)
            self._rest = b""

    def broken(self, why: str) -> Line:
        return Line(self._number + 1, b"", why)

    def _line(self, raw: bytes) -> Iterator[Line]:
        self._number += 1
        if self._skipping or len(raw) > LONGEST_LINE:
            self._skipping = False
            yield Line(self._number, b"", f"It is longer than {LONGEST_LINE // 1024**2} MB.")
        elif stripped := (raw.removeprefix(b"\xef\xbb\xbf") if self._number == 1 else raw).strip():
            yield Line(self._number, stripped)
