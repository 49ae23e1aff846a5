"""Names of the files in an export archive, and the rows they belong to.

``files/<id>`` is an artifact, ``sounds/<id>.mp3`` the sound of a story, ``episodes/<id>.mp3`` an
episode of the podcast. The artifact row of an episode has no file of its own.
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
    """Returns the name of a row's file; raises KeyError for a sound of an unknown type."""
    suffix = f".{SUFFIXES[media_type]}" if table in HEARD else ""
    return f"{FOLDERS[table]}/{pk}{suffix}"


def is_file(name: str) -> bool:
    return name.partition("/")[0] in FOLDERS.values()


def is_heard(name: str) -> bool:
    return name.partition("/")[0] in HEARD


def row_files(
    snapshot_: Snapshot, name: str, after: int
) -> Iterator[tuple[int, str, int, Iterator[bytes] | None]]:
    """Yields id, member name, size in bytes and content of the files of rows beyond id ``after``.

    The content is None if the row has no file of its own. The file is already open when it is
    yielded, so that all of it is written even if it is deleted meanwhile.
    """
    rows = snapshot.selected(snapshot_, BY_NAME[name]).order_by("pk")
    while piece := list(
        rows.filter(pk__gt=after).values_list("pk", "path", "media_type", "bytes")[:BATCH]
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


def rows_with_files(table: Table, rows: Iterator[Row], zipper: Zipper) -> Iterator[Row]:
    """Yields the rows whose file is in the ZIP with the SHA-256 of the row."""
    if table.name not in FOLDERS:
        yield from rows
        return
    written = {one.name: one.sha256 for one in zipper.entries if is_file(one.name)}
    episodes = {digest for name, digest in written.items() if name.startswith(f"{EPISODES}/")}
    for row in rows:
        own = written.get(member(table.name, row["id"], row["media_type"]))
        episode_artifact = own is None and table.name == ARTIFACTS and row["sha256"] in episodes
        if episode_artifact or own == row["sha256"]:
            yield row
