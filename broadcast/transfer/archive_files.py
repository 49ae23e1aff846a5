"""Where the files of an archive's rows lie in it, and which rows have theirs there.

``files/<id>`` is that of an artifact, ``sounds/<id>.mp3`` a story's sound, ``episodes/<id>.mp3`` an
episode of the podcast. An episode's row among the artifacts has no second file.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from broadcast.speech.sounds import SUFFIXES
from broadcast.transfer import snapshot
from broadcast.transfer.snapshot import Row, Snapshot
from broadcast.transfer.tables import ARTIFACTS, BY_NAME, EPISODES, SOUNDS, Table
from broadcast.transfer.zip_stream import Zipper
from sessions_app.files import storage
from sessions_app.files.storage import ROOT

FOLDERS = {SOUNDS: "sounds", EPISODES: "episodes", ARTIFACTS: "files"}
FILED = tuple(FOLDERS)
HEARD = (SOUNDS, EPISODES)
NAMES = rf"files/\d{{1,19}}|(?:{'|'.join(HEARD)})/\d{{1,19}}\.(?:{'|'.join(SUFFIXES.values())})"
BATCH = 200


def member(table: str, pk: int, media_type: str) -> str:
    """The name of a row's file; KeyError for a sound of an unknown type."""
    suffix = f".{SUFFIXES[media_type]}" if table in HEARD else ""
    return f"{FOLDERS[table]}/{pk}{suffix}"


def is_file(name: str) -> bool:
    return name.partition("/")[0] in FOLDERS.values()


def is_heard(name: str) -> bool:
    return name.partition("/")[0] in HEARD


def found(
    shown: Snapshot, name: str, after: int
) -> Iterator[tuple[int, str, int, Iterator[bytes] | None]]:
    """Id, member, bytes and content of each row's file beyond the id ``after``; None if it has none.

    It is open by then, so that it is written whole even if it is taken back meanwhile.
    """
    wanted = snapshot.selected(shown, BY_NAME[name]).order_by("pk")
    while piece := list(
        wanted.filter(pk__gt=after).values_list("pk", "path", "media_type", "bytes")[:BATCH]
    ):
        for pk, path, media_type, size in piece:
            own = name in HEARD or path.startswith(f"{ROOT}/")
            yield pk, member(name, pk, media_type), size, _opened(path) if own else None
        after = piece[-1][0]


def _opened(path: str) -> Iterator[bytes] | None:
    chunks = storage.read([path])
    try:
        return chain([next(chunks, b"")], chunks)
    except FileNotFoundError:
        return None


def whole(table: Table, rows: Iterator[Row], made: Zipper) -> Iterator[Row]:
    """Those of the rows whose file is in the ZIP as they say it is."""
    if table.name not in FOLDERS:
        yield from rows
        return
    written = {one.name: one.sha256 for one in made.entries if is_file(one.name)}
    episodes = {digest for name, digest in written.items() if name.startswith(f"{EPISODES}/")}
    for row in rows:
        own = written.get(member(table.name, row["id"], row["media_type"]))
        shelved = own is None and table.name == ARTIFACTS and row["sha256"] in episodes
        if shelved or own == row["sha256"]:
            yield row
