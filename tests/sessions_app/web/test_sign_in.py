"""Who is signed out signs in and is back on the page where they were, never on a part of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from sessions_app.models import Session

pytestmark = pytest.mark.django_db
COMMAND = "/broadcast/{}/command/"


def htmx(page: str) -> dict[str, str]:
    return {"HX-Request": "true", "HX-Current-URL": page}


def test_an_htmx_request_goes_to_sign_in_and_back_to_the_page(session: Session) -> None:
    page = f"http://testserver/broadcast/{session.pk}/?bookmarked=1#chat"
    answer = Client().post(COMMAND.format(session.pk), headers=htmx(page))
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer["HX-Redirect"] == f"/login/?next=/broadcast/{session.pk}/%3Fbookmarked%3D1"


def test_a_part_that_htmx_reads_again_goes_to_sign_in_and_not_into_the_page(
    session: Session,
) -> None:
    page = f"http://testserver/broadcast/{session.pk}/"
    for part in ("/processes/", f"/broadcast/{session.pk}/health/"):
        answer = Client().get(part, headers=htmx(page))
        assert answer["HX-Redirect"] == f"/login/?next=/broadcast/{session.pk}/", part
        assert answer.content == b"", part


@pytest.mark.parametrize(
    "page",
    [
        "https://evil.example/broadcast/",
        "//evil.example/",
        "javascript:alert(1)",
        "http:\\\\evil.example",
        "",
        "http://testserver",
    ],
)
def test_a_page_of_another_site_is_not_where_one_is_sent_back(session: Session, page: str) -> None:
    answer = Client().post(COMMAND.format(session.pk), headers=htmx(page))
    assert answer["HX-Redirect"] == "/login/?next=/"
    answer = Client().post(COMMAND.format(session.pk), headers={"Referer": page})
    assert answer["Location"] == "/login/?next=/"


def test_a_form_goes_to_sign_in_and_back_to_its_page(session: Session) -> None:
    page = f"/sessions/{session.pk}/?saved=1"
    answer = Client().post(
        f"/sessions/{session.pk}/filing/", headers={"Referer": f"http://testserver{page}"}
    )
    assert answer.status_code == 302
    assert answer["Location"] == f"/login/?next=/sessions/{session.pk}/%3Fsaved%3D1"


def test_a_page_is_opened_after_sign_in(session: Session) -> None:
    answer = Client().get(f"/stats/?session={session.pk}")
    assert answer["Location"] == f"/login/?next=/stats/%3Fsession%3D{session.pk}"


def test_the_address_of_a_command_opens_its_page(
    owner: User, session: Session, client_of: Callable[[User], Client]
) -> None:
    pages = {
        COMMAND.format(session.pk): f"/broadcast/{session.pk}/",
        f"/broadcast/{session.pk}/stories/7/decision/": f"/broadcast/{session.pk}/stories/7/",
        f"/sessions/{session.pk}/filing/": f"/sessions/{session.pk}/",
        f"/sessions/{session.pk}/sources/3/remove/": f"/sessions/{session.pk}/",
        "/account/theme/": "/account/",
    }
    for command, page in pages.items():
        for client in (client_of(owner), Client()):
            answer = client.get(command)
            assert (answer.status_code, answer["Location"]) == (302, page), command
        assert client_of(owner).put(command).status_code == 405, command
