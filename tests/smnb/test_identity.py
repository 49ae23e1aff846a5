"""The typefaces, icons and manifest: what pages name exists, is licensed, small and cached."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.templatetags.static import static
from django.test import Client
from PIL import Image

STATIC = Path(__file__).parents[2] / "static"
FONTS = sorted(STATIC.glob("fonts/*.woff2"))


def test_the_fonts_are_small_and_have_their_licences_beside_them() -> None:
    assert {path.name.split(".")[0] for path in FONTS} == {
        "inter-latin",
        "inter-latin-ext",
        "schibsted-grotesk-latin",
        "schibsted-grotesk-latin-ext",
    }
    assert sum(path.stat().st_size for path in FONTS) <= 120_000
    for name in ("Inter", "Schibsted-Grotesk"):
        text = (STATIC / f"fonts/OFL-{name}.txt").read_text()
        assert "Copyright 20" in text
        assert "SIL OPEN FONT LICENSE Version 1.1" in text


@pytest.mark.parametrize("path", FONTS, ids=lambda path: path.name)
def test_a_font_is_named_by_its_content_so_that_it_may_be_stored_for_years(
    path: Path, client: Client
) -> None:
    assert path.name.split(".")[1] == hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    response = client.get(f"/static/fonts/{path.name}")
    assert response["Content-Type"] == "font/woff2"
    assert response["Cache-Control"] == "max-age=315360000, public, immutable"
    css = client.get("/static/css/fonts.css")
    assert css["Cache-Control"] == "max-age=60, public"
    assert f'url("../fonts/{path.name}")' in css.getvalue().decode()


@pytest.mark.django_db
def test_browsers_store_a_file_for_years_under_the_version_that_pages_ask_for(
    client: Client,
) -> None:
    forever = "max-age=315360000, public, immutable"
    html = client.get("/login/").content.decode()
    [address] = re.findall(r'href="(/static/css/base\.css[^"]*)"', html)
    digest = hashlib.sha256((STATIC / "css/base.css").read_bytes()).hexdigest()
    assert address == f"/static/css/base.css?v={digest[:8]}"
    response = client.get(address)
    assert response["Cache-Control"] == forever
    unchanged = client.get(address, headers={"If-None-Match": response["ETag"]})
    assert (unchanged.status_code, unchanged["Cache-Control"]) == (304, forever)
    # A page of the version before or after this one asks for a file that is not this one.
    for other in ("/static/css/base.css", "/static/css/base.css?v=00000000"):
        assert client.get(other)["Cache-Control"] == "max-age=60, public"
    # Files of packages have versions too; fonts have their hash in their names.
    for name in ("js/theme.js", "django_htmx/htmx-2.min.js", "admin/css/base.css"):
        assert re.fullmatch(rf"/static/{name}\?v=[0-9a-f]{{8}}", static(name))
    assert re.findall(r"woff2\?v=", html) == []


def test_text_files_are_compressed_for_browsers_that_can_read_that(client: Client) -> None:
    accepted = {"Accept-Encoding": "gzip, deflate, br"}
    for name, kind in (
        ("css/base.css", "text/css"),
        ("js/live.js", "text/javascript"),
        ("img/favicon.svg", "image/svg+xml"),
        ("site.webmanifest", "application/manifest+json"),
    ):
        whole = (STATIC / name).read_bytes()
        response = client.get(f"/static/{name}", headers=accepted)
        assert (response["Content-Encoding"], response["Vary"]) == ("gzip", "Accept-Encoding")
        assert response["Content-Type"].partition(";")[0] == kind
        body = response.getvalue()
        assert gzip.decompress(body) == whole
        assert len(body) == int(response["Content-Length"])
        head = client.head(f"/static/{name}", headers=accepted)
        assert (head.getvalue(), head["Content-Length"]) == (b"", response["Content-Length"])
        for headers in ({}, {"Accept-Encoding": "br"}):
            plain = client.get(f"/static/{name}", headers=headers)
            assert (plain.getvalue(), plain["Vary"]) == (whole, "Accept-Encoding")
            assert "Content-Encoding" not in plain
    begin = client.get("/static/css/base.css", headers={**accepted, "Range": "bytes=0-9"})
    assert (begin.status_code, len(begin.getvalue())) == (206, 10)
    assert "Content-Encoding" not in begin
    picture = client.get("/static/img/icon-512.png", headers=accepted)
    assert "Content-Encoding" not in picture


def test_while_debugging_a_changed_file_is_served_as_it_is(client: Client, settings: Any) -> None:
    settings.DEBUG = True
    assert static("css/base.css") == "/static/css/base.css"
    response = client.get("/static/css/base.css", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in response
    assert response.getvalue() == (STATIC / "css/base.css").read_bytes()


def test_every_face_that_is_loaded_swaps_and_every_fallback_has_its_measures() -> None:
    faces = re.findall(r"@font-face \{([^}]*)\}", (STATIC / "css/fonts.css").read_text())
    loaded = [face for face in faces if "url(" in face]
    fallbacks = [face for face in faces if "local(" in face]
    assert len(loaded) == 4
    assert len(fallbacks) == 6
    assert all("font-display: swap" in face and "unicode-range" in face for face in loaded)
    assert all("size-adjust" in face and "ascent-override" in face for face in fallbacks)


@pytest.mark.django_db
def test_the_sign_in_page_preloads_both_typefaces_and_names_icons_and_manifest(
    client: Client,
) -> None:
    response = client.get("/login/")
    html = response.content.decode()
    preloads = re.findall(
        r'<link\s+rel="preload"\s+href="([^"]+)"\s+as="font"[^>]*crossorigin', html
    )
    assert len(preloads) == 2
    icons = re.findall(r'<link rel="(?:[a-z-]*icon)"[^>]*href="([^"]+)"', html)
    assert len(icons) == 3
    [manifest] = re.findall(r'<link rel="manifest" href="([^"]+)"', html)
    for address in [*preloads, *icons, manifest]:
        assert client.get(address).status_code == 200, address
    assert "manifest-src 'self'" in response["Content-Security-Policy"]


def test_the_manifest_is_served_as_one_and_its_icons_have_the_sizes_that_it_names(
    client: Client,
) -> None:
    response = client.get("/static/site.webmanifest")
    assert response["Content-Type"] == "application/manifest+json"
    manifest = json.loads(response.getvalue())
    assert (manifest["start_url"], manifest["display"]) == ("/", "standalone")
    pictures = [icon for icon in manifest["icons"] if icon["type"] == "image/png"]
    assert [icon.get("purpose", "any") for icon in pictures] == ["any", "any", "maskable"]
    for icon in pictures:
        with Image.open(STATIC / icon["src"]) as image:
            assert f"{image.width}x{image.height}" == icon["sizes"]
    with Image.open(STATIC / "img/icon-maskable.png") as image:
        # A mask may cut the corners: nothing is transparent, and the mark is inside the safe circle.
        assert image.convert("RGBA").getchannel("A").getextrema() == (255, 255)


@pytest.mark.django_db
def test_the_audience_is_not_offered_the_studio_as_an_app(
    client: Client, django_user_model: type[User]
) -> None:
    assert "manifest" not in client.get("/watch/unknown/").content.decode()
