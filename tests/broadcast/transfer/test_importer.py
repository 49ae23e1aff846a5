"""Imports: an exported session is imported completely and once, and its audits pass."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command

from broadcast.models import Broadcast, Episode, Sound, Transfer
from broadcast.transfer import archive, importer
from broadcast.transfer.tables import TABLES, Ids, Renaming, Table
from sessions_app import audits
from sessions_app.background import sweeper
from sessions_app.errors import Invalid
from sessions_app.events.recorder import OWNER
from sessions_app.files import storage
from sessions_app.models import Artifact, Session, SessionEvent, SessionStats
from sessions_app.realtime.frames import HTML, frame_of, text_of
from stories.models import SourcePost, Story, TokenUsage
from tests.broadcast.session_with_history import Bring, archive_of_a_past, changed, exported, zipped
from tests.conftest import make_post, run_due_steps

pytestmark = pytest.mark.django_db


def without_ids(session: Session) -> dict[str, Any]:
    """Returns the session as JSON, with row positions for ids and without what imports change."""
    found: dict[str, Any] = json.loads(exported(session, "json"))
    ids: dict[str, Ids] = {}
    for table in TABLES:
        if table.key == "id":
            ids[table.name] = Ids(range(len(found[table.name])))
            for row in found[table.name]:
                row["id"] = ids[table.name].add(row["id"])
    for table in TABLES:
        for row in found[table.name]:
            rename(row, table, ids)
    del found["export"], found["exported_at"]
    for name in ("id", "type", "name"):
        del found["session"][name]
    return found


def rename(row: dict[str, Any], table: Table, ids: dict[str, Ids]) -> None:
    for name, target in table.references.items():
        row[name] = None if row[name] is None else ids[target].get(row[name])
    for name in {"payload", "plan", "contents"} & row.keys():
        row[name] = Renaming(UUID(int=0), ids).of(row[name])
    # A copy has attempts of its own, and its slots are disabled until the owner enables them.
    row.pop("attempt", None)
    row.pop("enabled" if table.name == "slots" else "", None)


def attempts_out(value: Any) -> Any:
    """Removes the ids of attempts, which differ from session to session."""
    if isinstance(value, dict):
        return {k: attempts_out(v) for k, v in value.items() if k != "attempt"}
    return [attempts_out(each) for each in value] if isinstance(value, list) else value


def test_export_import_export_is_the_same_but_for_ids(session: Session, bring: Bring) -> None:
    data = archive_of_a_past(session)
    first = bring(data)
    second = bring(exported(first, "zip"))
    one, other = without_ids(first), without_ids(second)
    # Each import records two events when it is complete.
    number = len(one["events"])
    assert len(other["events"]) == number + 2
    other["events"] = other["events"][:number]
    assert attempts_out(one) == attempts_out(other)
    assert len(one["sounds"]) > 3
    assert len(one["episodes"]) == 3
    assert contents(second) == contents(first)
    assert all(contents(first))


def contents(session: Session) -> list[list[bytes]]:
    """Returns the bytes of the session's sounds, episodes and artifacts, each by id."""
    managers: list[Any] = [Sound.objects, Episode.objects, Artifact.objects]
    rows = [each.filter(session=session, state="ready").order_by("pk") for each in managers]
    return [[storage.full_path(one.path).read_bytes() for one in each] for each in rows]


def test_what_was_exported_is_what_comes_in(session: Session, bring: Bring) -> None:
    make_past = archive_of_a_past(session)
    copy = bring(make_past)
    again = json.loads(exported(copy, "json"))
    for table in TABLES:
        rows = sum(one.count(b"\n") for one in members(make_past, f"data/{table.name}-"))
        assert len(again[table.name]) - rows == (2 if table.name == "events" else 0)
    assert (copy.type, copy.visible, copy.made_from) == ("imported", False, None)


def members(data: bytes, prefix: str) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        return [found.read(name) for name in found.namelist() if name.startswith(prefix)]


def test_passages_come_in_with_their_stories(session: Session, bring: Bring) -> None:
    data = archive_of_a_past(session)
    exported_rows = b"".join(members(data, "data/stories-")).splitlines()
    passages = [json.loads(line)["passages"] for line in exported_rows]
    copies = Story.objects.filter(session=bring(data)).order_by("pk")
    assert list(copies.values_list("passages", flat=True)) == passages
    assert any(row["passages"][0]["text"] for rows in passages for row in rows if row["passages"])


def test_what_came_in_is_sound(session: Session, bring: Bring) -> None:
    copy = bring(archive_of_a_past(session))
    # The first test that needs the archive has made its session, too, with a thread put together by hand.
    assert [each for each in audits.run() if each.session != str(session.pk)] == []
    artifact = Artifact.objects.get(session=copy, category="files")
    assert (artifact.name, storage.full_path(artifact.path).read_bytes()) == (
        "notes.txt",
        b"a note\n",
    )


def test_the_same_archive_twice_is_the_same_session(session: Session, bring: Bring) -> None:
    data = archive_of_a_past(session)
    first = bring(data)
    before = SessionEvent.objects.count(), Story.objects.count()
    assert bring(data) == first
    assert (SessionEvent.objects.count(), Story.objects.count()) == before


def test_another_person_gets_a_session_of_their_own(
    session: Session, bring: Bring, stranger: User, tmp_path: Path
) -> None:
    first = bring(archive_of_a_past(session))
    other = importer.import_file(tmp_path / "session.zip", stranger).session
    assert other != first
    assert other.owner == stranger


def test_events_name_the_rows_of_their_own_session(session: Session, bring: Bring) -> None:
    copy = bring(archive_of_a_past(session))
    written = SessionEvent.objects.filter(session=copy, type="story.written").order_by("seq")
    named = [event.payload["story"]["id"] for event in written]
    assert set(named) == set(Story.objects.filter(session=copy).values_list("pk", flat=True))


def test_a_run_that_was_on_air_is_stopped(
    session: Session, go_live: Any, work: Any, bring: Bring
) -> None:
    go_live(session)
    work(session, most=2)
    SourcePost.objects.filter(session=session, state="told").update(attempts=1)
    copy = bring(exported(session, "zip"))
    # It rests once its recap is made.
    run_due_steps(copy, "recap")
    sweeper.sweep()
    assert Broadcast.objects.get(session=copy).state == "idle"
    assert SessionStats.objects.get(session=copy).on_air_seconds == 0
    assert not Story.objects.filter(session=copy, state="airing").exists()
    assert list(audits.run()) == []


def test_an_imported_session_goes_on_the_air(session: Session, bring: Bring, go_live: Any) -> None:
    copy = bring(archive_of_a_past(session))
    go_live(copy)
    run_due_steps(copy, most=4)
    assert Broadcast.objects.filter(session=copy, state="live").exists()


def drop_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return rows[1:]


def set_first(**values: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda rows: [{**rows[0], **values}, *rows[1:]]


STORIES, VERSIONS, POSTS, EVENTS, USAGE = (
    f"data/{each}-0001.ndjson" for each in ("stories", "versions", "posts", "events", "usage")
)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({STORIES: set_first(tone="shouting")}, "line 1: tone"),
        ({STORIES: set_first(topics=[1])}, "topics"),
        ({STORIES: set_first(topics="tides")}, "topics"),
        ({USAGE: set_first(cost_upper=2**62 + 1)}, "the sum of cost_upper is too large"),
        ({STORIES: set_first(title="x" * 301)}, "title"),
        ({STORIES: set_first(title="a\x00b")}, "NUL"),
        ({STORIES: set_first(id=0)}, "id"),
        ({STORIES: set_first(word_count=-1)}, "word_count"),
        ({STORIES: set_first(word_count=2**40)}, "word_count"),
        ({STORIES: set_first(owner=1)}, "owner"),
        ({STORIES: lambda rows: [{"id": row["id"]} for row in rows]}, "line 1: origin"),
        ({STORIES: set_first(created_at=12345)}, "created_at"),
        ({STORIES: set_first(post=999_999)}, "does not come before this row"),
        ({STORIES: lambda rows: [*rows, rows[0]]}, "does not rise"),
        ({STORIES: b'{"a":NaN}\n'}, "NaN"),
        ({STORIES: b"[" * 100_000 + b"\n"}, "deeply"),
        ({STORIES: b"\xff\xfe\n"}, "line 1"),
        ({POSTS: drop_first}, "does not come before this row"),
        ({EVENTS: set_first(type="<script>")}, "type"),
        ({EVENTS: set_first(payload=[])}, "payload"),
        ({"session.json": b"{}"}, "session.json"),
        ({"data/changes-0001.ndjson": drop_first}, "its changes contradict"),
        ({"data/links-0001.ndjson": set_first(number=2)}, "contradict each other"),
        ({"files/1": None}, "not in the archive"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_comes_in(
    session: Session, bring: Bring, changes: dict[str, Any], sentence: str
) -> None:
    data = archive_of_a_past(session)
    file = next(iter(changes))
    if file == "files/1":
        first = members(data, "data/artifacts")[0].splitlines()[0]
        changes = {f"files/{json.loads(first)['id']}": None}
    stories, archived = Story.objects.count(), Artifact.objects.count()
    with pytest.raises(Invalid, match=sentence):
        bring(changed(data, changes))
    assert (Story.objects.count(), Artifact.objects.count()) == (stories, archived)


def test_an_archive_made_before_a_column_was_added_has_its_default(
    session: Session, bring: Bring
) -> None:
    def without(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{k: v for k, v in row.items() if k not in ("version", "topics")} for row in rows]

    copy = bring(changed(archive_of_a_past(session), {STORIES: without, VERSIONS: b""}))
    rows = set(Story.objects.filter(session=copy).values_list("version", flat=True))
    assert rows == {1}
    assert all(story.topics == [] for story in Story.objects.filter(session=copy))


def test_a_refused_archive_can_be_brought_again(session: Session, bring: Bring) -> None:
    data = archive_of_a_past(session)
    with pytest.raises(Invalid):
        bring(changed(data, {STORIES: set_first(tone="shouting")}))
    failed = Transfer.objects.get(state="failed")
    assert "tone" in failed.error
    assert bring(data) != failed.session


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"no zip", "not a whole ZIP"),
        (zipped({"a.txt": b""}), "no export of a session"),
        (zipped({"../../etc/passwd": b""}), "no export of a session"),
        (zipped({"data/stories-0001.ndjson": b""}), "no archive of a session"),
        (zipped({"data/stories-0001.ndjson": b"0" * 20_000_000}), "times its packed size"),
        (zipped({"sounds/../../x.mp3": b""}), "no export of a session"),
        (zipped({"sounds/1.exe": b""}), "no export of a session"),
        (zipped({"manifest.json": b"{}"}), "manifest.json"),
        (zipped({"manifest.json": b'{"format":"smnb-archive","version":2}'}), "another version"),
    ],
)
def test_what_is_no_archive_of_ours_is_refused(bring: Bring, data: bytes, sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence):
        bring(data)
    assert not Session.objects.exists()


def test_a_member_that_was_altered_is_refused(session: Session, bring: Bring) -> None:
    data = archive_of_a_past(session)
    manifest = json.loads(members(data, "manifest.json")[0])
    body = {name: members(data, name)[0] for name in (*manifest["members"], "manifest.json")}
    altered = body[STORIES].replace(b"ferry sails", b"ferry sinks")
    with pytest.raises(Invalid, match="SHA-256"):
        bring(zipped({**body, STORIES: altered}))
    with pytest.raises(Invalid, match="longer than the manifest says"):
        bring(zipped({**body, STORIES: altered + b"\n"}))


def repacked(data: bytes, rename: Callable[[str], str], more: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        members = {rename(name): found.read(name) for name in found.namelist()}
    return zipped({**more, **members})


@pytest.mark.parametrize(
    ("rename", "more"),
    [
        # macOS: a folder, its notes and resource forks.
        (
            "Morning/{}",
            {
                "Morning/": b"",
                "Morning/.DS_Store": b"x",
                "Morning/data/.DS_Store": b"x",
                "__MACOSX/._Morning": b"x",
                "__MACOSX/Morning/._manifest.json": b"x",
                "Morning/data/._stories-0001.ndjson": b"x",
            },
        ),
        # Windows: a folder, directories of their own, backslashes, and what Explorer leaves.
        ("Morning\\{}", {}),
        ("Morning (1)\\{}", {"Morning (1)\\": b"", "Morning (1)\\Thumbs.db": b"x"}),
        ("{}", {"data/": b"", "files/": b"", "desktop.ini": b"x"}),
        ("Downloads/Morning/{}", {"Downloads/": b"", "Downloads/Morning/": b""}),
    ],
    ids=["macos", "backslashes", "explorer", "folders", "two folders"],
)
def test_an_archive_that_was_packed_again_is_read(
    session: Session, bring: Bring, rename: str, more: dict[str, bytes]
) -> None:
    data = archive_of_a_past(session)
    windows = "\\" in rename
    again = repacked(
        data, lambda name: rename.format(name.replace("/", "\\") if windows else name), more
    )
    copy = bring(again)
    rows = members(data, "data/stories-")[0].count(b"\n")
    assert Story.objects.filter(session=copy).count() == rows > 0
    assert bring(data) == copy


@pytest.mark.parametrize(
    ("rename", "more", "sentence"),
    [
        ("Morning/{}", {"else.txt": b"x"}, "no export of a session"),
        ("Morning/{}", {"Morning/else.txt": b"x"}, "no export of a session"),
        ("Morning/{}", {"Other/manifest.json": b"{}"}, "no export of a session"),
        ("Morning/{}", {"Morning\\session.json": b"{}"}, "or some twice"),
        ("Morning/{}", {"__MACOSX/../session.json": b"{}", "../x": b""}, "no export of a session"),
    ],
)
def test_what_else_is_in_such_an_archive_is_refused(
    session: Session, bring: Bring, rename: str, more: dict[str, bytes], sentence: str
) -> None:
    data = repacked(archive_of_a_past(session), rename.format, more)
    with pytest.raises(Invalid, match=sentence):
        bring(data)


def test_notes_of_macos_do_not_count_as_files(
    session: Session, bring: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = archive_of_a_past(session)
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        names = found.namelist()
    notes = {f"__MACOSX/Morning/._{name}": b"x" for name in names}
    limits = archive.Limits(50_000_000, 200_000_000, len(names))
    monkeypatch.setattr(archive, "BROUGHT", limits)
    assert bring(repacked(data, "Morning/{}".format, notes)).type == "imported"


def test_pages_take_fewer_files_than_the_command(tmp_path: Path, owner: User) -> None:
    path = tmp_path / "many.zip"
    path.write_bytes(zipped({f"files/{n}": b"" for n in range(501)}))
    with pytest.raises(Invalid, match="more than 500 files"):
        importer.begin(path, owner, archive.UPLOADED)
    with pytest.raises(Invalid, match=r"no manifest\.json"):
        importer.begin(path, owner, archive.BROUGHT)


def test_an_upload_opens_its_session_and_a_step_fills_it(
    session: Session, owner: User, client_of: Any
) -> None:
    data = archive_of_a_past(session)
    browser = client_of(owner)
    answer = browser.post("/sessions/import/", {"archive": upload(data)})
    copy = Session.objects.get(type="imported")
    assert answer["Location"] == f"/sessions/{copy.pk}/#exports"
    assert not Story.objects.filter(session=copy).exists()
    run_due_steps(copy)
    assert Transfer.objects.get(session=copy).state == "ready"
    assert Story.objects.filter(session=copy).exists()
    assert b"rows came in" in browser.get(f"/sessions/{copy.pk}/").content


def test_a_page_that_is_open_meanwhile_loads_anew_once_all_is_in(
    session: Session, bring: Bring
) -> None:
    copy = bring(archive_of_a_past(session))
    newest = SessionEvent.objects.filter(session=copy).latest("seq")
    assert newest.type == "transfer.changed"
    assert "data-reload" in text_of(frame_of(newest, newest.seq - 1, OWNER), OWNER, HTML)


def upload(data: bytes) -> Any:
    return SimpleUploadedFile("session.zip", data)


def test_an_upload_that_is_no_archive_is_said_on_the_page(owner: User, client_of: Any) -> None:
    answer = client_of(owner).post("/sessions/import/", {"archive": upload(b"no zip")})
    assert (answer.status_code, b"not a whole ZIP" in answer.content) == (422, True)


def test_an_upload_beyond_the_limit_is_refused(owner: User) -> None:
    with pytest.raises(Invalid, match="50 MB"):
        importer.upload(owner, 50_000_001, [])


def test_a_session_that_was_used_meanwhile_is_left_alone(
    session: Session, owner: User, client_of: Any
) -> None:
    client_of(owner).post("/sessions/import/", {"archive": upload(archive_of_a_past(session))})
    copy = Session.objects.get(type="imported")
    client_of(owner).post(f"/sessions/{copy.pk}/name/", {"name": "Mine"})
    run_due_steps(copy)
    assert "was used before" in Transfer.objects.get(session=copy).error
    assert not Story.objects.filter(session=copy).exists()


def test_an_imported_session_can_be_told_from_its_original(
    session: Session, owner: User, client_of: Any, stranger: User, bring: Bring
) -> None:
    data = archive_of_a_past(session)
    dated = rf"{re.escape(session.name)} \(imported \d{{1,2}} [A-Z][a-z]{{2}} 20\d\d\)"
    first = bring(data)
    assert re.fullmatch(dated, first.name)
    assert bring(exported(first, "zip")).name == f"{first.name[:-1]}, 2)"
    # The name is free where its owner has no such session, and may be chosen.
    browser = client_of(stranger)
    browser.post("/sessions/import/", {"archive": upload(data)})
    assert Session.objects.get(owner=stranger).name == session.name
    Session.objects.filter(owner=stranger).update(imported_id="")
    browser.post("/sessions/import/", {"archive": upload(data), "name": "  From the other studio "})
    assert Session.objects.filter(owner=stranger, name="From the other studio").exists()


def test_the_command_prints_the_session(
    session: Session, tmp_path: Path, capsys: Any, owner: User
) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(archive_of_a_past(session))
    call_command("import_session", str(path), "--owner", owner.username)
    call_command("import_session", str(path), "--owner", owner.username)
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert second == f"{first} (it existed already)"


def test_usage_and_money_are_counted_once_more(session: Session, bring: Bring) -> None:
    copy = bring(archive_of_a_past(session))
    stats = SessionStats.objects.get(session=copy)
    costs = TokenUsage.objects.filter(session=copy).values_list("cost_lower", flat=True)
    assert stats.cost_lower == sum(costs) > 0


def test_addresses_that_no_page_may_link_are_left_out(
    session: Session, source: Any, bring: Bring
) -> None:
    post = make_post(source, "j", "A headline about nothing at all")
    SourcePost.objects.filter(pk=post.pk).update(url="javascript:alert(1)")
    copy = bring(exported(session, "zip"))
    assert SourcePost.objects.get(session=copy).url == ""
