"""Exports: the content of each format, and writing it in one go or with interruptions."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from datetime import timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from broadcast.models import Airing, Transfer
from broadcast.transfer import exporter, formats, snapshot
from broadcast.transfer.formats.base import ExportRequest, caption, cell
from broadcast.transfer.formats.srt_format import cues
from broadcast.transfer.tables import BY_NAME, STORIES
from sessions_app import commands
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.files import artifacts, storage
from sessions_app.models import Artifact, Session, SessionEvent, Workspace
from stories.models import Story
from tests.api_clients import Api
from tests.broadcast.session_with_history import exported, interrupted
from tests.broadcast.speech.recorded_session import tell
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import past

pytestmark = pytest.mark.django_db(transaction=True)
EVERY = pytest.mark.parametrize("format_", formats.FORMATS)


@pytest.fixture
def session(request: pytest.FixtureRequest, owner: User, make_session: MakeSession) -> Session:
    def make() -> Session:
        session = make_session()
        tell(session, 3)
        return session

    return past("exported", owner, make) if "aired" in request.fixturenames else make_session()


@pytest.fixture
def aired(session: Session) -> list[Story]:
    return list(Story.objects.filter(session=session, state="aired").order_by("id"))


def start(session: Session, format_: str = "zip", **data: Any) -> Transfer:
    data = {"format": format_, **data}
    found: Transfer = commands.run("export.start", session.owner, session, data)
    return found


def test_json_holds_every_row(session: Session, aired: list[Story]) -> None:
    found = json.loads(exported(session, "json"))
    stories = Story.objects.filter(session=session).order_by("pk")
    assert [each["id"] for each in found["stories"]] == [story.pk for story in stories]
    assert len(found["events"]) == SessionEvent.objects.filter(session=session).count()
    assert found["session"]["name"] == "Morning"
    assert found["disclosure"].startswith("Stories are written and read by software.")


def test_no_export_tells_the_public_address(session: Session, aired: list[Story]) -> None:
    for format_ in formats.FORMATS:
        assert session.watch_token.encode() not in exported(session, format_)


def test_csv_holds_the_stories_and_no_formula(session: Session, aired: list[Story]) -> None:
    Story.objects.filter(pk=aired[0].pk).update(title='=HYPERLINK("http://x")', narrative="a\n-b,c")
    rows = list(
        csv.DictReader(io.StringIO(exported(session, "csv").decode("utf-8-sig"), newline=""))
    )
    assert [row["id"] for row in rows] == [str(story.pk) for story in aired]
    assert rows[0]["title"] == '\'=HYPERLINK("http://x")'
    assert rows[0]["narrative"] == "a\n-b,c"
    assert rows[1]["disclosure"] == (
        "Verbatim from the source, selected and introduced by software and read by a synthetic voice."
    )
    assert rows[1]["digital_source_type"] == (
        "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia"
    )
    assert rows[1]["approved_at"] == ""


def test_csv_opens_in_excel(session: Session, aired: list[Story]) -> None:
    data = exported(session, "csv")
    assert data.startswith(b"\xef\xbb\xbfid,created_at,")
    assert data.count(b"\xef\xbb\xbf") == 1
    assert data.endswith(b"\r\n")
    assert len(re.findall(rb"\r\n", data)) == 1 + len(aired)


@pytest.mark.parametrize(
    "opener",
    [
        "=",
        "+",
        "-",
        "@",
        "|",
        "%",
        "\t",
        "\r",
        "\n",
        " =",
        "\n+",
        "\ufeff=",
        "\u200b=",
        "\u200e@",
        "\uff1d",
        "\uff0b",
        "\uff0d",
        "\uff20",
        "\uff5c",
        "\uff05",
    ],
)
def test_a_cell_that_begins_like_a_formula_is_text(opener: str) -> None:
    assert cell(f"{opener}1+1") == f"'{opener}1+1"


def test_numbers_and_ordinary_texts_stay_as_they_are() -> None:
    assert [cell(value) for value in (-3, 2.5, "a = b", None)] == [-3, 2.5, "a = b", None]


def test_markdown_reads_like_a_paper(session: Session, aired: list[Story]) -> None:
    text = exported(session, "md").decode()
    assert text.startswith("# Morning\n\n3 stories, ")
    assert text.count("\n### ") == 3
    assert text.count("\n## ") == 1


def test_markdown_says_how_each_story_was_made(session: Session, aired: list[Story]) -> None:
    Story.objects.filter(pk=aired[0].pk).update(
        origin="model", model="claude-haiku-5-5", approved_at=timezone.now()
    )
    text = exported(session, "md").decode()
    assert "Written and read by software; each story names its maker.\n" in text
    assert (
        text.count("\nVerbatim from the source, selected and introduced by software and read by")
        == 2
    )
    assert (
        "\nWritten by claude-haiku-5-5 and read by a synthetic voice. Approved by an editor.\n"
        in text
    )


def test_captions_follow_each_other_in_time(session: Session, aired: list[Story]) -> None:
    text = exported(session, "srt").decode()
    cues_ = text.strip().split("\n\n")
    times = [cue.split("\n")[1].split(" --> ") for cue in cues_]
    assert [cue.split("\n")[0] for cue in cues_] == [str(n + 1) for n in range(len(cues_))]
    assert all(begin < end for begin, end in times)
    assert all(one[1] <= two[0] for one, two in pairwise(times))
    assert all(
        len(cue.split("\n")) <= 4 and len(line) <= 42
        for cue in cues_
        for line in cue.split("\n")[2:]
    )


def test_captions_begin_with_who_made_them_once_a_run(session: Session, aired: list[Story]) -> None:
    text = exported(session, "srt").decode()
    assert text.split("\n")[2] == "[Written and read by software.]"
    tell(session, 4)
    assert exported(session, "srt").decode().count("[Written and read by software.]") == 2
    assert "\n[Written and read by software.]\n" in exported(session, "srt", run=2).decode()


def test_captions_begin_when_the_story_went_on_air(session: Session, aired: list[Story]) -> None:
    airing = Airing.objects.filter(session=session).order_by("pk")[1]
    live_at = airing.run.live_at
    assert live_at is not None
    at = live_at + timedelta(seconds=3700, milliseconds=250)
    Airing.objects.filter(pk=airing.pk).update(
        aired_at=at, finish_at=at + timedelta(seconds=10), finished_at=at + timedelta(seconds=10)
    )
    assert "\n01:01:40,250 --> " in exported(session, "srt").decode()


def test_captions_of_one_run_hold_its_stories_alone(session: Session, aired: list[Story]) -> None:
    later = tell(session, 4)[-1]
    text = exported(session, "srt", run=2).decode().replace("\n", " ")
    first = later.narrative.split()[0]
    assert first in text
    assert len(text) < len(exported(session, "srt"))


def test_a_caption_has_no_marks_of_players() -> None:
    assert caption("<i>a</i> --> {\\an8}b\n\nc\x00") == "(i)a(/i) → (/an8)b c"


def test_a_caption_lasts_as_long_as_its_share_of_the_letters() -> None:
    found = list(cues("One sentence. A second sentence, which is longer than that.", 0.0, 10.0))
    assert found[0][0] == 0.0
    assert found[-1][1] == pytest.approx(10.0)
    assert found[0][1] < 4


def test_the_zip_lists_what_it_holds(session: Session, aired: list[Story]) -> None:
    artifact = artifacts.store(session, "files", "a.txt", [b"a"], media_type="text/plain")
    with zipfile.ZipFile(io.BytesIO(exported(session, "zip"))) as found:
        assert found.testzip() is None
        manifest = json.loads(found.read("manifest.json"))
        for name, member in manifest["members"].items():
            assert sha256(found.read(name)).hexdigest() == member["sha256"]
        assert found.read(f"files/{artifact.pk}") == b"a"
        rows = found.read("data/stories-0001.ndjson").count(b"\n")
    assert manifest["members"]["data/stories-0001.ndjson"]["rows"] == rows == len(aired)
    assert manifest["disclosure"].startswith("Stories are written and read by software.")


@EVERY
def test_an_export_that_is_interrupted_anywhere_is_the_same(
    session: Session, aired: list[Story], format_: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("broadcast.transfer.formats.zip_format.MOST_ROWS", 2)
    wanted = ExportRequest(snapshot.taken(session), "an-id")
    write = formats.get(format_).write
    whole = b"".join(chunk.data for chunk in write(wanted, {}))
    assert interrupted(wanted, write) == whole


def test_what_comes_after_the_beginning_is_not_in(session: Session, aired: list[Story]) -> None:
    shown = snapshot.taken(session)
    tell(session, 5)
    rows = list(snapshot.rows(shown, BY_NAME[STORIES]))
    assert [row["id"] for row in rows] == [story.pk for story in aired]


def test_an_export_becomes_a_file_of_the_session(session: Session, aired: list[Story]) -> None:
    transfer = start(session)
    run_due_steps(session, "export")
    transfer.refresh_from_db()
    artifact = transfer.artifact
    assert (transfer.state, artifact and artifact.category) == ("ready", "files")
    assert artifact is not None
    assert zipfile.is_zipfile(storage.full_path(artifact.path))
    assert not exporter.partial_path(transfer).exists()
    assert SessionEvent.objects.filter(session=session, type="transfer.changed").count() == 2


def test_an_export_goes_on_where_a_killed_one_stopped(
    session: Session, aired: list[Story], monkeypatch: Any
) -> None:
    monkeypatch.setattr(exporter, "WORK_SECONDS", 0)
    monkeypatch.setattr(exporter, "SHOW_SECONDS", 0)
    transfer = start(session, "json")
    run_due_steps(session, "export", most=3)
    with exporter.partial_path(transfer).open("ab") as file:
        file.write(b"what a dying worker wrote")
    assert run_due_steps(session, "export", most=200) > 3
    transfer.refresh_from_db()
    assert transfer.artifact is not None
    found = json.loads(storage.full_path(transfer.artifact.path).read_bytes())
    assert len(found["stories"]) == 3


def test_an_export_larger_than_the_quota_says_so(session: Session, aired: list[Story]) -> None:
    artifacts.store(session, "files", "big", [b"x" * 9_999_900], media_type="text/plain")
    Workspace.objects.update_or_create(pk=1, defaults={"artifact_quota_mb": 10})
    transfer = start(session)
    run_due_steps(session, "export")
    transfer.refresh_from_db()
    assert (transfer.state, "quota" in transfer.error) == ("failed", True)
    assert not exporter.partial_path(transfer).exists()


def test_one_export_of_a_format_at_a_time(session: Session) -> None:
    start(session, "csv")
    start(session, "md")
    with pytest.raises(Conflict, match="already running"):
        start(session, "csv")


def test_a_run_is_asked_for_captions_alone(session: Session, aired: list[Story]) -> None:
    with pytest.raises(Invalid, match="captions"):
        start(session, "csv", run=1)
    with pytest.raises(NotFound, match="no such run"):
        start(session, "srt", run=7)


def test_earlier_exports_are_not_in_the_next(session: Session, aired: list[Story]) -> None:
    start(session)
    run_due_steps(session, "export")
    with zipfile.ZipFile(io.BytesIO(exported(session, "zip"))) as found:
        assert not [name for name in found.namelist() if name.startswith("files/")]
    assert Artifact.objects.filter(session=session, category="files").count() == 1


def test_the_page_starts_an_export_and_shows_it(
    session: Session, aired: list[Story], owner: User, client_of: Any
) -> None:
    browser, page = client_of(owner), f"/sessions/{session.pk}/"
    assert browser.post(f"{page}exports/", {"format": "csv"})["Location"] == f"{page}#exports"
    assert b"about to begin" in browser.get(page).content
    run_due_steps(session, "export")
    assert Transfer.objects.get(session=session).artifact is not None
    assert b".csv</a>" in browser.get(page).content


def test_a_format_that_is_none_is_refused_on_the_page(
    session: Session, owner: User, client_of: Any
) -> None:
    answer = client_of(owner).post(f"/sessions/{session.pk}/exports/", {"format": "exe"})
    assert answer.status_code == 422
    assert not Transfer.objects.exists()


def test_the_api_starts_and_lists_exports(session: Session, owner: User) -> None:
    api = Api(owner)
    status, found = api.post(f"/sessions/{session.pk}/exports", {"format": "md"})
    assert (status, found["state"]) == (202, "running")
    run_due_steps(session, "export")
    [listed] = api.get(f"/sessions/{session.pk}/exports")["items"]
    assert (listed["id"], listed["state"], listed["artifact"]["sha256"] != "") == (
        found["id"],
        "ready",
        True,
    )


def test_the_command_writes_a_file(session: Session, aired: list[Story], tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    call_command("export_session", str(session.pk), "--format", "json", "--output", str(path))
    assert len(json.loads(path.read_bytes())["stories"]) == 3
    assert list(tmp_path.iterdir()) == [path]


def test_the_command_writes_to_the_standard_output(
    session: Session, aired: list[Story], capfdbinary: Any
) -> None:
    call_command("export_session", str(session.pk), "--format", "csv")
    assert capfdbinary.readouterr().out.count(b"\r\n") >= 4
