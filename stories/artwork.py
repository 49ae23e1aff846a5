"""Artwork of a story: a landscape drawn from its topics, the same for all stories of a thread.

A picture is a list of shapes, so that it can be written as SVG for pages and painted into a PNG for
share cards. It holds no text, and nothing of a story but the motif that its topics name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from math import cos, pi, sin
from random import Random
from typing import NamedTuple

WIDTH, HEIGHT = 1600, 900
NAME = re.compile(r"(?P<motif>[a-z]+)-(?P<number>[0-9]{1,18})", re.ASCII)

Point = tuple[float, float]


class Shape(NamedTuple):
    """A filled polygon, an open line with a ``width``, or a circle with a ``radius``."""

    points: Sequence[Point]
    colour: str
    opacity: float = 1.0
    width: float = 0
    radius: float = 0


class Palette(NamedTuple):
    """The sky from top to bottom, what is far and near in front of it, and the light."""

    top: str
    bottom: str
    far: str
    near: str
    light: str


class Picture(NamedTuple):
    palette: Palette
    shapes: list[Shape]


PALETTES = (
    Palette("#171a45", "#c4684a", "#5d3c6b", "#130f2c", "#ffd9a0"),
    Palette("#05222f", "#2b9488", "#17616b", "#04171d", "#d7fff1"),
    Palette("#2a0f24", "#d9824a", "#7d3440", "#1a0912", "#ffe3b8"),
    Palette("#140f38", "#7552cf", "#3f2f86", "#0b0722", "#e9ddff"),
    Palette("#08251f", "#7ba86b", "#2a6249", "#061511", "#f3ffd9"),
    Palette("#0b1b38", "#6ba4da", "#2f608f", "#071224", "#f2fbff"),
    Palette("#12161f", "#6f7f97", "#364152", "#0a0d13", "#ffffff"),
)


def ridge(rng: Random, base: float, height: float, colour: str) -> Shape:
    """Returns a line of hills or waves above ``base``, filled to the bottom of the picture."""
    first, second = rng.uniform(0, 2 * pi), rng.uniform(0, 2 * pi)
    long, short = rng.uniform(420, 760), rng.uniform(120, 240)
    crest: list[Point] = [
        (x, base - height * (0.7 * sin(x / long * 2 + first) + 0.3 * sin(x / short * 2 + second)))
        for x in range(0, WIDTH + 40, 40)
    ]
    return Shape([*crest, (WIDTH, HEIGHT), (0, HEIGHT)], colour)


def box(left: float, top: float, width: float, height: float) -> list[Point]:
    right, bottom = left + width, top + height
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def ellipse(x: float, y: float, wide: float, high: float, turn: float = 0) -> list[Point]:
    """Returns the outline of an ellipse, turned by an angle."""
    upright = [(wide * cos(step * pi / 24), high * sin(step * pi / 24)) for step in range(49)]
    return [
        (x + a * cos(turn) - b * sin(turn), y + a * sin(turn) + b * cos(turn)) for a, b in upright
    ]


def curve(begin: Point, pull: Point, end: Point) -> list[Point]:
    """Returns a line from ``begin`` to ``end`` that bends towards ``pull``."""
    shares = [(1 - t, t) for t in (step / 20 for step in range(21))]
    return [
        (
            begin[0] * rest**2 + pull[0] * 2 * t * rest + end[0] * t**2,
            begin[1] * rest**2 + pull[1] * 2 * t * rest + end[1] * t**2,
        )
        for rest, t in shares
    ]


def glow(x: float, y: float, radius: float, colour: str) -> Iterator[Shape]:
    """Yields a light with its halo."""
    for part, opacity in ((3.4, 0.05), (2.3, 0.07), (1.5, 0.12), (1.0, 0.92)):
        yield Shape([(x, y)], colour, opacity, radius=radius * part)


def hills(rng: Random, palette: Palette) -> Iterator[Shape]:
    yield from glow(rng.uniform(1000, 1300), rng.uniform(200, 330), 80, palette.light)
    yield ridge(rng, 520, 90, mix(palette.bottom, palette.far, 0.55))
    yield ridge(rng, 630, 80, palette.far)
    yield ridge(rng, 730, 60, mix(palette.far, palette.near, 0.6))
    for _ in range(26):
        x, size = rng.uniform(0, WIDTH), rng.uniform(30, 80)
        y = rng.uniform(740, 860)
        yield Shape([(x - size / 3, y), (x, y - size * 1.6), (x + size / 3, y)], palette.near)
    yield ridge(rng, 850, 30, palette.near)


def waves(rng: Random, palette: Palette) -> Iterator[Shape]:
    yield from glow(rng.uniform(950, 1300), rng.uniform(170, 300), 70, palette.light)
    for _ in range(46):
        x, y, length = rng.uniform(0, 1700), rng.uniform(-40, 620), rng.uniform(50, 130)
        yield Shape([(x, y), (x - length * 0.3, y + length)], palette.light, 0.2, width=2.5)
    for layer in range(5):
        colour = mix(palette.far, palette.near, layer / 4)
        yield ridge(rng, 540 + 80 * layer, 34 - 3 * layer, colour)


def city(rng: Random, palette: Palette) -> Iterator[Shape]:
    yield from glow(rng.uniform(1050, 1300), 260, 90, palette.light)
    for layer, (low, high) in enumerate(((250, 420), (180, 340), (90, 250))):
        colour = mix(mix(palette.bottom, palette.far, 0.6), palette.near, layer / 2)
        x = -30.0
        while x < WIDTH:
            width, height = rng.uniform(70, 150), rng.uniform(low, high)
            yield Shape(box(x, HEIGHT - height, width, height), colour)
            for row in range(int(height // 46)) if layer else ():
                lit, y = rng.uniform(0.12, 0.62) * width, HEIGHT - height + 18 + row * 46
                yield Shape(box(x + lit, y, 13, 19), palette.light, 0.16 + 0.3 * rng.random())
            x += width + rng.uniform(2, 16)


def columns(rng: Random, palette: Palette) -> Iterator[Shape]:
    middle = rng.uniform(900, 1100)
    for ray in range(9):
        angle = pi * (0.06 + ray * 0.11)
        ends = [(middle + 1500 * cos(a), 560 - 1500 * sin(a)) for a in (angle, angle + 0.14)]
        yield Shape([(middle, 560), *ends], palette.light, 0.06)
    yield ridge(rng, 800, 26, palette.far)
    stone = mix(palette.far, palette.light, 0.3)
    yield Shape([(middle - 420, 420), (middle, 260), (middle + 420, 420)], stone)
    yield Shape(box(middle - 400, 420, 800, 40), mix(stone, palette.near, 0.35))
    for number in range(7):
        left = middle - 372 + number * 114
        yield Shape(box(left, 460, 60, 310), stone)
        yield Shape(box(left + 42, 460, 18, 310), palette.near, 0.3)
    for step in range(4):
        stair = box(middle - 410 - step * 35, 770 + step * 34, 820 + step * 70, 36)
        yield Shape(stair, mix(stone, palette.near, 0.25 + step * 0.2))


def chart(rng: Random, palette: Palette) -> Iterator[Shape]:
    for level in range(1, 6):
        yield Shape([(0, level * 150), (WIDTH, level * 150)], palette.light, 0.1, width=2)
    height, line = rng.uniform(200, 280), list[Point]()
    for number in range(13):
        height = min(700.0, max(120.0, height + rng.uniform(-70, 110)))
        left = 40 + number * 122
        colour = mix(palette.far, palette.near, 0.2 + 0.05 * number)
        yield Shape(box(left, HEIGHT - height, 84, height), colour, 0.92)
        line.append((left + 42, HEIGHT - height - rng.uniform(40, 90)))
    yield Shape(line, palette.light, 0.9, width=7)
    for x, y in line:
        yield Shape([(x, y)], palette.light, radius=11)


def orbit(rng: Random, palette: Palette) -> Iterator[Shape]:
    for _ in range(70):
        place = (rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT))
        yield Shape([place], palette.light, rng.uniform(0.25, 0.9), radius=rng.uniform(1.2, 3.6))
    x, y, size = rng.uniform(950, 1150), rng.uniform(430, 500), rng.uniform(190, 240)
    turn = rng.uniform(-0.5, -0.2)
    for part in (1.5, 1.9, 2.5):
        yield Shape(
            ellipse(x, y, size * part, size * part * 0.32, turn), palette.light, 0.4, width=3
        )
    yield from glow(x, y, size, mix(palette.far, palette.bottom, 0.5))
    yield Shape([(x + size * 0.22, y + size * 0.12)], palette.near, 0.35, radius=size * 0.76)


def circuit(rng: Random, palette: Palette) -> Iterator[Shape]:
    for _ in range(30):
        left, top = 80 * rng.randint(0, 20), 75 * rng.randint(1, 11)
        first, second = 80 * rng.randint(2, 5), 75 * rng.choice((-2, -1, 1, 2))
        path = [(left, top), (left + first, top), (left + first + abs(second), top + second)]
        bright = rng.random()
        colour = mix(palette.far, palette.light, bright * 0.75)
        yield Shape(path, colour, 0.35 + bright / 2, width=4)
        for end in (path[0], path[-1]):
            yield Shape([end], colour, 0.9, radius=9)
    side, left, top = 260, rng.randint(900, 1080), 320
    for pin in range(6):
        for x, y, wide, high in (
            (left - 46, top + 18 + pin * 42, side + 92, 14),
            (left + 18 + pin * 42, top - 46, 14, side + 92),
        ):
            yield Shape(box(x, y, wide, high), palette.light, 0.55)
    yield Shape(box(left, top, side, side), palette.near)
    yield Shape(box(left + 60, top + 60, side - 120, side - 120), palette.light, 0.22)


def pulse(rng: Random, palette: Palette) -> Iterator[Shape]:
    x, y = rng.uniform(950, 1150), 440.0
    for ring in range(7, 0, -1):
        yield Shape([(x, y)], palette.light, 0.045, radius=ring * 95)
    line: list[Point] = [(0, y)]
    for beat in range(4):
        left, high = 130 + beat * 390, rng.uniform(150, 260)
        line += [(left, y), (left + 34, y - 40), (left + 66, y), (left + 92, y + 60)]
        line += [(left + 124, y - high), (left + 160, y + high * 0.55), (left + 190, y)]
    yield Shape([*line, (WIDTH, y)], palette.light, 0.95, width=9)
    yield ridge(rng, 800, 40, mix(palette.far, palette.near, 0.5))


def arena(rng: Random, palette: Palette) -> Iterator[Shape]:
    horizon = 430
    for side in (rng.uniform(120, 260), rng.uniform(1300, 1480)):
        for spread in (260, 520):
            beam = [(side, 90), (800 - spread, HEIGHT), (800 + spread, HEIGHT)]
            yield Shape(beam, palette.light, 0.06)
        yield from glow(side, 90, 34, palette.light)
    yield Shape(box(0, horizon, WIDTH, HEIGHT - horizon), mix(palette.far, palette.near, 0.3))
    for stripe in range(-8, 9, 2):
        top = [(800 + stripe * 60, horizon), (800 + (stripe + 1) * 60, horizon)]
        foot = [(800 + (stripe + 1) * 210, HEIGHT), (800 + stripe * 210, HEIGHT)]
        yield Shape([*top, *foot], palette.near, 0.4)
    yield Shape(ellipse(800, 650, 330, 105), palette.light, 0.75, width=6)
    yield Shape([(0, 650), (WIDTH, 650)], palette.light, 0.75, width=6)
    for seat in range(110):
        place = (rng.uniform(0, WIDTH), horizon - 8 - rng.uniform(0, 110))
        yield Shape([place], palette.light, 0.08 + 0.25 * (seat % 3) / 2, radius=6)


def stage(rng: Random, palette: Palette) -> Iterator[Shape]:
    for lamp in range(5):
        x, aim, wide = 200 + lamp * 300, rng.uniform(250, 1350), rng.uniform(110, 190)
        beam = [(x, -20), (aim - wide, HEIGHT - 90), (aim + wide, HEIGHT - 90)]
        yield Shape(beam, mix(palette.bottom, palette.light, rng.random()), 0.17)
        yield Shape(ellipse(aim, HEIGHT - 90, wide, 30), palette.light, 0.22)
    for _ in range(34):
        place = (rng.uniform(0, WIDTH), rng.uniform(0, 760))
        yield Shape([place], palette.light, rng.uniform(0.04, 0.2), radius=rng.uniform(8, 46))
    for head in range(27):
        place = (head * 62 + rng.uniform(-14, 14), HEIGHT - 38 + rng.uniform(-16, 16))
        yield Shape([place], palette.near, radius=40)


def globe(rng: Random, palette: Palette) -> Iterator[Shape]:
    x, y, size = rng.uniform(950, 1120), 450.0, 330.0
    yield from glow(x, y, size, mix(palette.far, palette.bottom, 0.25))
    for part in (0.2, 0.55, 0.85, 1.0):
        yield Shape(ellipse(x, y, size * part, size), palette.light, 0.3, width=3)
        half = size * (1 - part**2) ** 0.5
        for side in (-1, 1):
            level = y + side * size * part
            yield Shape([(x - half, level), (x + half, level)], palette.light, 0.3, width=3)
    places = [
        (x + rng.uniform(-0.65, 0.65) * size, y + rng.uniform(-0.6, 0.6) * size) for _ in range(7)
    ]
    for begin, end in pairwise(places):
        lift = ((begin[0] + end[0]) / 2, min(begin[1], end[1]) - 120)
        yield Shape(curve(begin, lift, end), palette.light, 0.85, width=4)
    for place in places:
        yield Shape([place], palette.light, radius=10)


def bridge(rng: Random, palette: Palette) -> Iterator[Shape]:
    yield from glow(rng.uniform(700, 900), 330, 90, palette.light)
    yield ridge(rng, 560, 50, mix(palette.bottom, palette.far, 0.6))
    left, right, deck = rng.uniform(360, 460), rng.uniform(1140, 1240), 620.0
    iron = mix(palette.far, palette.near, 0.75)
    sag = curve((left, 250), ((left + right) / 2, 890), (right, 250))
    for cable in ([(-80.0, deck), (left, 250.0)], sag, [(right, 250.0), (WIDTH + 80.0, deck)]):
        yield Shape(cable, iron, width=9)
    for x, y in sag[1:-1]:
        yield Shape([(x, y), (x, deck)], iron, 0.8, width=3)
    for x in (left, right):
        yield Shape(box(x - 20, 220, 40, 560), iron)
    yield Shape(box(0, deck, WIDTH, 26), palette.near)
    for layer in range(3):
        yield ridge(rng, 740 + 60 * layer, 14, mix(palette.far, palette.near, 0.4 + 0.3 * layer))


def mosaic(rng: Random, palette: Palette) -> Iterator[Shape]:
    side = 200
    grid = {
        (column, row): (
            column * side - 100 + rng.uniform(-62, 62),
            row * side - 100 + rng.uniform(-62, 62),
        )
        for column in range(10)
        for row in range(7)
    }
    for column in range(9):
        for row in range(6):
            one, two = grid[column, row], grid[column + 1, row]
            three, four = grid[column, row + 1], grid[column + 1, row + 1]
            for points in ([one, two, three], [two, four, three]):
                colour = rng.choice((palette.far, palette.near, palette.light, palette.bottom))
                yield Shape(points, colour, rng.uniform(0.05, 0.34))


Motif = Callable[[Random, Palette], Iterator[Shape]]
MOTIFS: dict[str, Motif] = {
    "waves": waves,
    "arena": arena,
    "pulse": pulse,
    "orbit": orbit,
    "circuit": circuit,
    "chart": chart,
    "columns": columns,
    "stage": stage,
    "globe": globe,
    "bridge": bridge,
    "hills": hills,
    "city": city,
    "mosaic": mosaic,
}
# The words of topics and headlines that name a motif; of several motifs the first wins.
WORDS = {
    "arena": """sport football soccer match league cup tournament tennis cricket rugby basketball
        baseball olympic olympics race marathon champion team player goal""",
    "pulse": "health hospital doctor nurse vaccine disease virus cancer medicine drug flu surgery",
    "orbit": "space science satellite moon planet comet rocket telescope observatory nasa star physics",
    "circuit": """technology tech software computer chip ai robot internet data phone app cyber
        startup google apple microsoft openai programming code linux gaming""",
    "chart": """economy market bank price inflation trade job budget tax business stock finance
        money company wage bond crypto bitcoin investment industry""",
    "columns": """politics election vote parliament government court law minister president council
        mayor senate congress judge policy referendum police trial""",
    "stage": """culture music film movie theatre theater museum festival art book concert band
        television celebrity opera dance exhibition""",
    "globe": """world international war peace diplomacy refugee border treaty summit nato ukraine
        china russia europe africa asia military""",
    "bridge": "transport train rail railway bus tram road bridge airport flight traffic tunnel car",
    "waves": """storm rain flood tide sea ocean harbour harbor ship frost snow ferry boat fishing coast
        beach weather wind hurricane typhoon water river lighthouse swim""",
    "hills": """nature climate environment forest animal farm farmer garden park wildlife bird tree
        mountain energy solar fire wildfire bee mill village""",
    "city": "city housing building town street urban rent home school university library",
}
NAMES = {motif: frozenset(words.split()) for motif, words in WORDS.items()}
# For topics that name none, as in other languages.
NEUTRAL = ("mosaic", "hills", "city", "waves")


def mix(one: str, other: str, share: float) -> str:
    """Returns the colour between two colours, ``share`` of the way to the other."""
    pairs = zip(bytes.fromhex(one[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def name_of(number: int, texts: Iterable[object]) -> str:
    """Returns the name of the picture for a thread or story with this id, its topics and headline."""
    text = " ".join(each for each in texts if isinstance(each, str)).lower()
    words = re.findall(r"[a-z]+", text)
    spelled = {form for word in words for form in (word, word.removesuffix("s"))}
    named = next((motif for motif, names in NAMES.items() if names & spelled), None)
    return f"{named or NEUTRAL[number % len(NEUTRAL)]}-{number}"


def picture(name: str) -> Picture | None:
    """Returns the picture of this name, which is the same each time; None if there is no such name."""
    found = NAME.fullmatch(name)
    if found is None or found["motif"] not in MOTIFS:
        return None
    rng = Random(name)  # noqa: S311
    palette = PALETTES[int(found["number"]) % len(PALETTES)]
    return Picture(palette, list(MOTIFS[found["motif"]](rng, palette)))


def svg(drawn: Picture) -> str:
    """Writes a picture as SVG; it has no text, no style and no script."""
    palette, parts = drawn.palette, []
    for shape in drawn.shapes:
        paint = f'="{shape.colour}"'
        if shape.opacity < 1:
            paint += f' opacity="{shape.opacity:.2f}"'
        if shape.radius:
            [(x, y)] = shape.points
            parts.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{shape.radius:.0f}" fill{paint}/>')
            continue
        path = "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in shape.points)
        if shape.width:
            line = f'fill="none" stroke{paint} stroke-width="{shape.width:g}"'
            parts.append(f'<path d="{path}" {line} stroke-linejoin="round"/>')
        else:
            parts.append(f'<path d="{path}Z" fill{paint}/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" '
        'preserveAspectRatio="xMidYMid slice"><defs><linearGradient id="sky" x2="0" y2="1">'
        f'<stop stop-color="{palette.top}"/><stop offset="1" stop-color="{palette.bottom}"/>'
        f'</linearGradient></defs><rect width="{WIDTH}" height="{HEIGHT}" fill="url(#sky)"/>'
        f"{''.join(parts)}</svg>"
    )
