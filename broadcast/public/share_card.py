"""The share card: the picture that other sites show of a link to a watch page (1200 by 630)."""

from __future__ import annotations

import hashlib
import io
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from broadcast.public.podcast import PLAIN, fitted, font_for
from sessions_app import rate_limits
from sessions_app.realtime.batching import SingleFlight
from stories import artwork
from stories.disclosure import GENERAL

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH, HEIGHT, MARGIN = 1200, 630, 72
VERSION = 2  # raise it when the drawing changes
INK, SOFT, SIGNAL = (255, 255, 255), (214, 220, 228), (217, 36, 56)
MOST = 64  # stored by each process, about 100 kB each
A_MINUTE = 12  # new cards of a session


class Card(NamedTuple):
    """What is on a card: the name of the session, a headline, and the name of its artwork."""

    session: str
    headline: str
    picture: str

    @property
    def tag(self) -> str:
        """Returns the ETag: a digest of everything that is drawn."""
        return hashlib.sha256("\n".join((str(VERSION), *self)).encode()).hexdigest()[:32]


_drawn: SingleFlight[bytes] = SingleFlight(MOST)
_drawing = Lock()


def stored(card: Card) -> bytes | None:
    """Returns a card as PNG if this process has drawn it."""
    return _drawn.stored(card.tag)


def drawn(session: UUID, card: Card) -> bytes:
    """Returns a card as PNG, drawn once; raises TooMany above ``A_MINUTE`` new ones of a session.

    Drawing takes 60 ms of a processor, and anyone with the link can ask for it, so a
    process draws one card at a time.
    """

    def draw_next() -> bytes:
        # Before the lock, as Redis may take seconds to fail.
        rate_limits.count("share cards", session, A_MINUTE)
        with _drawing:
            return draw(card)

    return _drawn.get(card.tag, draw_next)


def draw(card: Card) -> bytes:
    """Returns the card as PNG. Text that no font of this machine can write is left out."""
    from PIL import Image, ImageDraw

    picture = _painted(card.picture)
    # The text is on a dark ground that grows towards the bottom.
    shade = Image.linear_gradient("L").resize((1, HEIGHT)).point(lambda level: 40 + level * 4 // 5)
    picture.paste((8, 10, 14), (0, 0), shade.resize((WIDTH, HEIGHT), Image.Resampling.NEAREST))
    canvas = ImageDraw.Draw(picture)
    for number, height in enumerate((30, 62, 42, 20)):
        left, middle = MARGIN + number * 18, MARGIN + 20
        bar = (left, middle - height // 2, left + 8, middle + height // 2)
        canvas.rounded_rectangle(bar, radius=4, fill=SIGNAL if number == 2 else INK)
    session, headline = (" ".join(text.translate(PLAIN).split()) for text in card[:2])
    if font := font_for(session, 34):
        font, lines = fitted(session, font, WIDTH - 2 * MARGIN - 110, range(34, 23, -2), 1)
        canvas.text((MARGIN + 100, MARGIN), lines[0] if lines else "", fill=INK, font=font)
    bottom = HEIGHT - MARGIN
    if font := font_for(GENERAL, 26):
        canvas.text((MARGIN, bottom), GENERAL, fill=SOFT, font=font, anchor="ls")
        bottom -= 60
    if font := font_for(headline, 40):
        font, lines = fitted(headline, font, WIDTH - 2 * MARGIN, range(76, 39, -4), 4)
        text, spacing = "\n".join(lines), font.size // 5
        box = canvas.multiline_textbbox((0, 0), text, font=font, spacing=spacing)
        place = (MARGIN, bottom - box[3])
        canvas.multiline_text(place, text, fill=INK, font=font, spacing=spacing)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _painted(name: str) -> Image:
    """Paints the artwork of this name over the whole card, cut at its top and bottom."""
    from PIL import Image, ImageColor, ImageDraw

    drawn = artwork.picture(name)
    if drawn is None:
        raise ValueError(f"no such artwork: {name}")
    scale, fine = WIDTH / artwork.WIDTH, 2  # painted larger, so that the edges become smooth
    cut = (artwork.HEIGHT * scale - HEIGHT) / 2
    size = (WIDTH * fine, HEIGHT * fine)
    # One column, as all are alike: a third of the time.
    column = Image.new("RGB", (1, size[1]), drawn.palette.top)
    column.paste(drawn.palette.bottom, (0, 0), Image.linear_gradient("L").resize(column.size))
    picture = column.resize(size, Image.Resampling.NEAREST)
    # A canvas in RGBA on a picture in RGB blends what is painted with what is there.
    canvas = ImageDraw.Draw(picture, "RGBA")
    for shape in drawn.shapes:
        points = [(x * scale * fine, (y * scale - cut) * fine) for x, y in shape.points]
        paint = (*ImageColor.getrgb(shape.colour)[:3], round(255 * shape.opacity))
        if shape.radius:
            [(x, y)] = points
            reach = max(1.0, shape.radius * scale * fine)
            canvas.ellipse((x - reach, y - reach, x + reach, y + reach), fill=paint)
        elif shape.width:
            canvas.line(points, fill=paint, width=round(shape.width * scale * fine), joint="curve")
        else:
            canvas.polygon(points, fill=paint)
    return picture.reduce(fine)
