"""The page of artifacts: what is shown, each control with its effect, and who gets what."""

from __future__ import annotations

import html
import json
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from broadcast import recordings
from broadcast.models import Broadcast
from broadcast.studio.artifacts import bundle, views
from sessions_app import commands, sessions
from sessions_app.files import artifacts, storage
from sessions_app.models import Artifact, Participant, Session, Step, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def address(session: Session, more: str = "") -> str:
    return f"/broadcast/{session.pk}/artifacts/{more}"


def keep(session: Session, category: str = "files", name: str = "a.txt") -> Artifact:
    return artifacts.store(session, category, name, [b"some text"], media_type="text/plain")


def words(answer: Any) -> str:
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


def refusal(answer: Any) -> str:
    """What the page says after a form was refused."""
    place = answer.content.decode().partition('id="refusal"')[2]
    found = re.search(r"<span>(.*?)</span>", place)
    assert found is not None
    return html.unescape(found[1])


def png(wide: int = 3, high: int = 2) -> bytes:
    """A real picture of these measures, black all over."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", wide, high, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((wide + 1) * high))
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_session_without_files_says_what_makes_them(browser: Client, session: Session) -> None:
    shown = words(browser.get(address(session)))
    assert "This session has no files yet." in shown
    assert "0 bytes of 2.0 GB used" in shown
    assert "Screenshots 0" not in shown


def test_files_are_shown_by_category_with_size_hash_and_maker(
    browser: Client, session: Session
) -> None:
    kept = artifacts.store(
        session,
        "files",
        "tides.csv",
        [b"x" * 1500],
        media_type="text/csv",
        note="Uploaded",
        made_by=session.owner,
    )
    answer = browser.get(address(session))
    shown = words(answer)
    assert "Uploaded · 1.5 kB ·" in shown
    assert "· by olga" in shown
    assert f'data-copy="{kept.sha256}"' in answer.content.decode()
    assert re.findall(r"<h2[^>]*>(\w+)", answer.content.decode())[:2] == ["Storage", "Files"]


def test_a_category_alone_is_turned_by_key(
    browser: Client, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MOST", 2)
    for number in range(3):
        keep(session, name=f"{number}.txt")
    keep(session, "devtools", "trace.json")
    first = browser.get(address(session, "?category=files")).content.decode()
    assert re.findall(r"<h3><a[^>]*>([^<]+)", first) == ["2.txt", "1.txt"]
    older = re.search(r'href="(\?category=files&amp;before=\d+)"', first)
    assert older is not None
    second = browser.get(address(session, html.unescape(older[1]))).content.decode()
    assert re.findall(r"<h3><a[^>]*>([^<]+)", second) == ["0.txt"]


def test_all_categories_show_their_latest_files(
    browser: Client, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "FEW", 1)
    keep(session, name="old.txt")
    keep(session, name="new.txt")
    shown = words(browser.get(address(session)))
    assert "new.txt" in shown
    assert "old.txt" not in shown
    assert "All files" in shown


def test_a_page_costs_the_same_with_many_files(browser: Client, session: Session) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert browser.get(address(session)).status_code == 200
        return len(seen)

    keep(session)
    queries()
    one = queries()
    for number in range(8):
        keep(session, name=f"{number}.txt")
    assert queries() == one


def test_a_download_is_saved_and_never_shown(browser: Client, session: Session) -> None:
    kept = artifacts.store(
        session, "files", "Straße “x”.html", [b"<script>alert(1)</script>"], media_type="text/html"
    )
    answer = browser.get(address(session, f"{kept.pk}/"))
    assert answer.content == b"<script>alert(1)</script>"
    assert answer["Content-Disposition"] == "attachment; filename*=utf-8''Stra%C3%9Fe_x.html"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "private, no-cache"
    assert answer["ETag"] == f'"{kept.sha256[:32]}"'


def test_a_part_of_a_file_is_sent(browser: Client, session: Session) -> None:
    kept = keep(session)
    answer = browser.get(address(session, f"{kept.pk}/"), headers={"Range": "bytes=5-"})
    assert (answer.status_code, answer.content) == (206, b"text")
    tag = f'"{kept.sha256[:32]}"'
    again = browser.get(address(session, f"{kept.pk}/"), headers={"If-None-Match": tag})
    assert again.status_code == 304


def test_a_file_that_grows_is_never_taken_from_a_cache(browser: Client, session: Session) -> None:
    kept = keep(session, "logs", "server.ndjson")
    Artifact.objects.filter(pk=kept.pk).update(state="open", sha256="")
    storage.full_path(kept.path).write_bytes(b"more than before")
    answer = browser.get(address(session, f"{kept.pk}/"))
    assert answer.content == b"more than before"
    assert "ETag" not in answer


def test_a_file_of_another_session_is_not_there(browser: Client, session: Session) -> None:
    kept = keep(session)
    other = sessions.create(session.owner, "Other", {}, None)
    assert browser.get(address(other, f"{kept.pk}/")).status_code == 404
    assert browser.post(address(other, f"{kept.pk}/remove/")).status_code == 302
    assert artifacts.find(session, kept.pk)


def test_a_file_that_is_lost_is_not_found(browser: Client, session: Session) -> None:
    kept = keep(session)
    storage.remove(kept.path)
    assert browser.get(address(session, f"{kept.pk}/")).status_code == 404


def test_a_file_is_removed_after_it_was_confirmed(
    browser: Client, session: Session, django_capture_on_commit_callbacks: Any
) -> None:
    kept = keep(session)
    shown = browser.get(address(session)).content.decode()
    assert f'action="{address(session, f"{kept.pk}/remove/")}"' in shown
    with django_capture_on_commit_callbacks(execute=True):
        browser.post(address(session, f"{kept.pk}/remove/"))
    assert Artifact.objects.get(pk=kept.pk).state == "dropped"
    assert not storage.full_path(kept.path).exists()
    assert browser.get(address(session, f"{kept.pk}/")).status_code == 404


def test_what_cannot_be_removed_has_no_button(browser: Client, session: Session) -> None:
    kept = keep(session, "archive", "events.gz")
    assert "remove/" not in browser.get(address(session)).content.decode()
    answer = browser.post(address(session, f"{kept.pk}/remove/"), follow=True)
    assert refusal(answer) == "This archive cannot be removed, as pages still read it."


def test_a_file_is_uploaded(browser: Client, session: Session) -> None:
    sent = SimpleUploadedFile("../notes of monday.pdf", b"%PDF-1.7")
    answer = browser.post(address(session, "upload/"), {"file": sent})
    assert answer["Location"] == address(session, "#files")
    kept = artifacts.listed(session, "files").get()
    assert (kept.name, kept.media_type) == ("notes_of_monday.pdf", "application/pdf")
    assert storage.full_path(kept.path).read_bytes() == b"%PDF-1.7"
    assert kept.made_by == session.owner
    assert Participant.objects.filter(session=session, user=session.owner).exists()


def test_what_is_too_large_or_nothing_is_not_uploaded(
    browser: Client, session: Session, settings: Any
) -> None:
    settings.SMNB = settings.SMNB.model_copy(update={"limit_upload_mb": 1})
    for sent, reason in (
        ({}, "Choose a file first."),
        ({"file": SimpleUploadedFile("a", b"")}, "The file is empty."),
        ({"file": SimpleUploadedFile("a", bytes(1_000_001))}, "The file is larger than 1 MB."),
    ):
        assert refusal(browser.post(address(session, "upload/"), sent, follow=True)) == reason
    assert not Artifact.objects.exists()


def test_a_full_session_takes_no_upload(browser: Client, session: Session) -> None:
    Workspace.objects.create(pk=1, artifact_quota_mb=10)
    artifacts.store(session, "files", "a", [bytes(10_000_000)], media_type="text/plain")
    sent = {"file": SimpleUploadedFile("b", b"x")}
    assert "quota" in refusal(browser.post(address(session, "upload/"), sent, follow=True))
    assert "Nothing more can be stored" in words(browser.get(address(session)))


def test_a_screenshot_is_kept(browser: Client, session: Session) -> None:
    sent = {"picture": SimpleUploadedFile("desk.png", png(640, 480))}
    answer = browser.post(address(session, "screenshot/"), sent)
    kept = artifacts.listed(session, "screenshots").get()
    assert (answer.status_code, answer.json()) == (201, {"name": kept.name, "id": kept.pk})
    assert (kept.media_type, kept.note) == ("image/png", "640 by 480 pixels")
    assert (
        f'<img src="{address(session, f"{kept.pk}/")}"'
        in browser.get(address(session)).content.decode()
    )


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (None, "Send one PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a complete PNG"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "not a complete PNG"),
        (png()[:-1], "not a complete PNG"),
        (png(8193, 1), "1 to 8192 pixels"),
        (png() + bytes(10_000_000), "at most 10 MB"),
    ],
)
def test_what_is_no_picture_is_refused(
    browser: Client, session: Session, picture: bytes | None, reason: str
) -> None:
    sent = {"picture": SimpleUploadedFile("desk.png", picture)} if picture else {}
    answer = browser.post(address(session, "screenshot/"), sent)
    assert answer.status_code == 422
    assert reason in answer.json()["sentence"]
    assert not Artifact.objects.exists()


def test_a_trace_bundle_holds_the_session_and_the_browser(
    browser: Client, session: Session
) -> None:
    sessions.show(session, True)
    sessions.change(session, instructions="Never say purple.")
    facts = {"agent": "A browser", "window": [390, 844], "online": True}
    browser.post(address(session, "bundle/"), {"facts": json.dumps(facts)})
    text = storage.full_path(artifacts.listed(session, "devtools").get().path).read_text()
    found = json.loads(text)
    assert found["session"]["id"] == str(session.pk)
    assert found["browser"]["window"] == [390, 844]
    assert found["air"]["state"] == "idle"
    assert found["versions"]["django"]
    assert found["installation"]["health"]["components"]["database"]["state"] == "ok"
    session.refresh_from_db()
    assert session.watch_token not in text
    assert "purple" not in text


def test_without_script_a_bundle_has_no_facts_of_the_browser(
    browser: Client, session: Session
) -> None:
    browser.post(address(session, "bundle/"))
    kept = artifacts.listed(session, "devtools").get()
    assert json.loads(storage.full_path(kept.path).read_text())["browser"]["agent"] == ""


@pytest.mark.parametrize(
    "facts", ["[]", "{", '{"more": 1}', '{"agent": 1}', json.dumps({"agent": "x" * 30_000})]
)
def test_facts_that_are_none_are_refused(browser: Client, session: Session, facts: str) -> None:
    answer = browser.post(address(session, "bundle/"), {"facts": facts}, follow=True)
    assert refusal(answer).startswith("facts: ")
    assert not Artifact.objects.exists()


def test_a_bundle_has_the_latest_lines_of_all_logs_in_order(session: Session) -> None:
    folder = artifacts.folder(session, "logs")
    folder.mkdir(parents=True)
    for name, numbers in (("server-1", range(0, 300, 2)), ("worker-1", range(1, 300, 2))):
        lines = [json.dumps({"timestamp": f"{n:04}", "event": n}) for n in numbers]
        (folder / f"{name}.ndjson").write_text("\n".join([*lines, '{"event": "cut']))
    found = [line["event"] for line in bundle.log_lines(session)]
    assert found == list(range(100, 300))


def test_a_broadcast_without_a_recording_is_recorded_on_the_page(
    browser: Client, session: Session
) -> None:
    for command in ("start", "stop"):
        commands.run(f"broadcast.{command}", session.owner, session, {})
    Step.objects.filter(kind=recordings.RECORD).delete()
    assert "Broadcast 1" in words(browser.get(address(session)))
    browser.post(address(session, "record/"), {"run": "1"})
    run = Broadcast.objects.get(session=session)
    assert Step.objects.get(kind=recordings.RECORD, state="pending").subject == str(run.pk)


def test_the_session_and_the_desk_lead_to_the_artifacts(browser: Client, session: Session) -> None:
    detail = browser.get(f"/sessions/{session.pk}/").content.decode()
    assert f'href="{address(session)}"' in detail
    desk = browser.get(f"/broadcast/{session.pk}/").content.decode()
    assert f'data-screenshot="{address(session, "screenshot/")}"' in desk
    assert f'action="{address(session, "#screenshots")}"' in desk
