"""Artifacts in the API: pages by key, the file itself, and its removal."""

from __future__ import annotations

import json

import pytest

from sessions_app.files import artifacts
from sessions_app.models import Artifact, Session
from tests.api_clients import Api

pytestmark = pytest.mark.django_db


def keep(session: Session, name: str, category: str = "files") -> Artifact:
    return artifacts.store(session, category, name, [b"0123456789"], media_type="text/plain")


def test_artifacts_are_listed_newest_first_by_key(session: Session) -> None:
    for number in range(5):
        keep(session, f"{number}.txt")
    found = list(Api(session.owner).walk(f"/sessions/{session.pk}/artifacts", 2))
    assert [len(page) for page in found] == [2, 2, 1]
    names = [item["name"] for page in found for item in page]
    assert names == ["4.txt", "3.txt", "2.txt", "1.txt", "0.txt"]


def test_an_artifact_is_told_without_its_place_on_the_disk(session: Session) -> None:
    kept = keep(session, "a.txt")
    [found] = Api(session.owner).get(f"/sessions/{session.pk}/artifacts")["items"]
    assert found == artifacts.payload(kept)
    assert set(found) == {
        "id",
        "category",
        "state",
        "name",
        "media_type",
        "bytes",
        "sha256",
        "note",
        "removable",
        "at",
    }


def test_one_category_is_listed_alone(session: Session) -> None:
    keep(session, "a.txt")
    keep(session, "b.json", "devtools")
    api, path = Api(session.owner), f"/sessions/{session.pk}/artifacts"
    assert [each["name"] for each in api.get(f"{path}?category=devtools")["items"]] == ["b.json"]
    assert api.call("GET", f"{path}?category=secrets").status_code == 422


def test_the_file_is_read_whole_or_in_part(session: Session) -> None:
    api, path = Api(session.owner), f"/sessions/{session.pk}/artifacts/{keep(session, 'a.txt').pk}"
    whole = api.call("GET", path)
    assert (whole.content, whole["Content-Type"]) == (b"0123456789", "text/plain")
    assert whole["Content-Disposition"] == 'attachment; filename="a.txt"'
    part = api.call("GET", path, Range="bytes=-3")
    assert (part.status_code, part.content) == (206, b"789")


def test_a_removed_file_is_not_found_any_more(session: Session) -> None:
    kept = keep(session, "a.txt")
    api, path = Api(session.owner), f"/sessions/{session.pk}/artifacts/{kept.pk}"
    answer = api.call("DELETE", path)
    assert json.loads(answer.content)["state"] == "dropped"
    assert api.call("GET", path).status_code == 404
    assert api.call("DELETE", path).status_code == 404
    assert Artifact.objects.get(pk=kept.pk).state == "dropped"


def test_what_must_stay_says_why(session: Session) -> None:
    kept = keep(session, "events.gz", "archive")
    answer = Api(session.owner).call("DELETE", f"/sessions/{session.pk}/artifacts/{kept.pk}")
    assert answer.status_code == 409
    assert (
        json.loads(answer.content)["detail"]
        == "This archive cannot be removed, as pages still read it."
    )
