"""The overlay studio: the link that it writes, the preview, and the logo that the audience sees."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from io import BytesIO

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from broadcast.public.views import overlay_query, parse_options
from sessions_app import sessions
from sessions_app.models import Artifact, Session
from tests.markup import unbroken

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def page(client: Client, session: Session, query: str = "") -> str:
    answer = client.get(f"/broadcast/{session.pk}/overlay/{query}")
    assert answer.status_code == 200
    return unbroken(answer.content.decode())


def png(side: int = 8) -> bytes:
    picture = BytesIO()
    Image.new("RGB", (side, side), "#3a4bd0").save(picture, "PNG")
    return picture.getvalue()


def send_logo(client: Client, session: Session, data: bytes = b"", **fields: str) -> str:
    """Sends the form and returns the page that follows."""
    sent = {**fields, **({"logo": SimpleUploadedFile("ours.png", data)} if data else {})}
    answer = client.post(f"/broadcast/{session.pk}/overlay/logo/", sent, follow=True)
    assert answer.status_code == 200
    return unbroken(answer.content.decode())


@pytest.mark.parametrize(
    ("query", "written"),
    [
        ({}, ""),
        ({"layout": "full", "size": "m"}, "?layout=full"),
        ({"layout": "banner", "theme": "pink", "size": "<l>"}, ""),
        # Without effect in this layout.
        ({"layout": "vertical", "ticker": "0", "position": "top"}, "?layout=vertical"),
        ({"layout": "clock", "position": "top"}, "?layout=clock&position=top"),
        ({"accent": "custom", "color": "#FFCC00"}, "?accent=custom&color=ffcc00"),
        ({"accent": "custom", "color": "red;}"}, "?accent=custom"),
        ({"accent": "blue", "color": "ffcc00"}, "?accent=blue"),
        ({"font": "serif", "logo": "1", "safe": "0"}, "?font=serif&logo=1&safe=0"),
    ],
)
def test_the_link_has_what_differs_from_the_default_and_has_an_effect(
    query: dict[str, str], written: str
) -> None:
    assert overlay_query(parse_options(query)) == written


@pytest.mark.parametrize(
    ("color", "ink"),
    [("ffffff", "dark"), ("ffcc00", "dark"), ("3a4bd0", "light"), ("000000", "light")],
)
def test_text_on_an_accent_of_your_own_can_be_read(color: str, ink: str) -> None:
    assert parse_options({"accent": "custom", "color": color})["ink"] == ink


def test_a_private_session_is_published_from_the_page_and_keeps_its_look(
    client: Client, session: Session
) -> None:
    before = page(client, session, "?layout=ticker")
    assert "Publish and get the link" in before
    assert "overlay-address" not in before
    answer = client.post(f"/broadcast/{session.pk}/overlay/publish/", {"layout": "ticker"})
    assert answer["Location"] == f"/broadcast/{session.pk}/overlay/?layout=ticker"
    session.refresh_from_db()
    address = f"/watch/{session.watch_token}/overlay/?layout=ticker"
    html = unescape(page(client, session, "?layout=ticker"))
    assert re.search(rf'data-copy="https?://[^"/]+{re.escape(address)}"', html)
    assert Client().get(address).status_code == 200


def test_the_form_shows_what_is_chosen_and_hides_what_has_no_effect(
    client: Client, session: Session
) -> None:
    html = page(client, session, "?layout=clock&accent=green&position=top")
    chosen = re.findall(r'name="(\w+)" value="([\w-]+)" checked', html)
    assert dict(chosen) == {
        "layout": "clock",
        "theme": "dark",
        "accent": "green",
        "font": "headline",
        "position": "top",
        "size": "m",
        "ticker": "1",
        "captions": "1",
        "logo": "0",
        "sound": "0",
        "safe": "1",
    }
    hidden = re.findall(r'data-name="(\w+)"[^>]* hidden', html)
    assert hidden == ["color", "ticker", "captions", "logo"]


def test_off_air_the_preview_shows_a_sample_and_on_the_air_the_story(
    client: Client, session: Session
) -> None:
    answer = client.get(f"/broadcast/{session.pk}/overlay/preview/?layout=full&sound=1")
    html = answer.content.decode()
    assert 'data-layout="full"' in html
    assert 'data-sound="0"' in html
    assert "Harbour bridge reopens" in html
    assert 'data-state="live"' in html
    assert "frame-ancestors 'self'" in answer["Content-Security-Policy"]
    sessions.show(session, True)
    public = Client().get(f"/watch/{session.watch_token}/overlay/?layout=full").content.decode()
    assert "Harbour bridge reopens" not in public


def test_the_logo_is_public_with_the_session_and_replaces_the_one_before(
    client: Client, session: Session
) -> None:
    address = f"/watch/{session.watch_token}/logo.png"
    assert "Remove logo" in send_logo(client, session, png(8))
    assert Client().get(address).status_code == 404
    sessions.show(session, True)
    answer = Client().get(address)
    assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == ("image/png", "nosniff")
    assert answer.getvalue() == png(8)
    shown = Client().get(f"/watch/{session.watch_token}/overlay/?layout=sidebar").content.decode()
    assert f'src="{address}"' in shown
    assert "logo.png" not in Client().get(f"/watch/{session.watch_token}/overlay/").content.decode()

    send_logo(client, session, png(9))
    assert Client().get(address).getvalue() == png(9)
    states = Artifact.objects.filter(session=session, category="files").order_by("id")
    assert [row.state for row in states] == ["dropped", "ready"]
    assert "Remove logo" not in send_logo(client, session, remove="1")
    assert Client().get(address).status_code == 404


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "Choose a PNG picture of at most 1 MB."),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "The picture is not a complete PNG."),
        (png()[:-1], "The picture is not a complete PNG."),
        (png() + bytes(1_000_000), "Choose a PNG picture of at most 1 MB."),
    ],
)
def test_a_logo_that_is_no_png_or_too_large_is_refused(
    client: Client, session: Session, data: bytes, sentence: str
) -> None:
    assert sentence in send_logo(client, session, data)
    assert not Artifact.objects.filter(session=session, category="files").exists()
