"""The cover of a podcast: a square picture with the name of the session, drawn on request.

Directories require 1400 to 3000 pixels, RGB, and a name that ends in .png or .jpg.
"""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

SIZE = 3000  # pixels
_VERSION = 1  # raise it when the drawing changes
_MARGIN, _TOP = 260, 1150
_GROUND, _INK, _SIGNAL, _SOFT = (12, 15, 19), (237, 241, 245), (217, 36, 56), (162, 174, 188)
# Accents of the bars, one of them by the name, so that two podcasts differ.
_ACCENTS = ((31, 111, 235), (22, 128, 60), (163, 90, 0), (122, 63, 209), (12, 122, 138))
# The built-in font has the letters of English only; these are installed on many systems.
_SYSTEM_FONTS = ("DejaVuSans-Bold.ttf", "DejaVuSans.ttf", "NotoSansCJK-Bold.ttc", "Arial.ttf")
# Typographic quotes and dashes, which that font does not have.
_PLAIN = {
    0x2019: "'",
    0x2018: "'",
    0x201C: '"',
    0x201D: '"',
    0x2013: "-",
    0x2014: "-",
    0x2026: "...",
}
_LINES, _LARGEST, _SMALLEST = 4, 420, 140


def tag(name: str) -> str:
    """Returns the ETag of the cover of a session with this name."""
    return hashlib.sha256(f"{_VERSION} {name}".encode()).hexdigest()[:32]


@lru_cache(maxsize=16)  # 40 kB each; drawing takes a third of a second
def draw(name: str) -> bytes:
    """Returns the cover as PNG. A name that no font can write is left out."""
    from PIL import Image, ImageDraw

    accent = _ACCENTS[hashlib.sha256(name.encode()).digest()[0] % len(_ACCENTS)]
    picture = Image.new("RGB", (SIZE, SIZE), _GROUND)
    canvas = ImageDraw.Draw(picture)
    for number, height in enumerate((240, 520, 360, 160)):
        left, middle = _MARGIN + number * 150, 620
        bar = (left, middle - height // 2, left + 70, middle + height // 2)
        canvas.rounded_rectangle(bar, radius=35, fill=_SIGNAL if number == 2 else accent)
    plain = " ".join(name.translate(_PLAIN).split())
    if font := _font(plain, _SMALLEST):
        font, lines = _fitted(plain, font)
        text = "\n".join(lines)
        canvas.multiline_text((_MARGIN, _TOP), text, fill=_INK, font=font, spacing=font.size // 5)
    small = _font("", 110)
    if small:
        canvas.text((_MARGIN, SIZE - 400), "SMNB", fill=_INK, font=small)
        text = "Written and read by software"
        canvas.text((_MARGIN, SIZE - 260), text, fill=_SOFT, font=small)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _fitted(name: str, font: FreeTypeFont) -> tuple[FreeTypeFont, list[str]]:
    """Returns the largest size of the font in which the name fits, with the lines of the name."""
    width = SIZE - 2 * _MARGIN
    for size in range(_LARGEST, _SMALLEST - 1, -40):
        sized = font.font_variant(size=size)
        columns = max(1, int(width * len(name) / max(sized.getlength(name), 1)))
        lines = wrap(name, columns, break_long_words=size < _SMALLEST + 40)
        if len(lines) <= _LINES and all(sized.getlength(line) <= width for line in lines):
            return sized, lines
    # A name that is too long even in small letters is cut.
    narrow = wrap(name, max(1, columns * 3 // 4))[:_LINES]
    return sized, [line for line in narrow if sized.getlength(line) <= width]


def _font(text: str, size: int) -> FreeTypeFont | None:
    """Returns the first font with all characters of the text; None if no font has them."""
    from PIL import ImageFont

    fonts = [ImageFont.load_default(size)]
    for name in _SYSTEM_FONTS:
        try:
            fonts.append(ImageFont.truetype(name, size))
        except OSError:
            continue
    for font in fonts:
        if isinstance(font, ImageFont.FreeTypeFont) and _has_all(font, text):
            return font
    return None


def _has_all(font: FreeTypeFont, text: str) -> bool:
    # A font draws the same box for each character that it does not have.
    missing = bytes(font.getmask("\uffff"))
    return all(bytes(font.getmask(character)) != missing for character in set(text) - {" "})
