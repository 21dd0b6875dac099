"""Bar plots as SVG, drawn into the page. Like the seat picture they hold under a policy without
inline styles: the plotting libraries' own SVG does not, it needs a style element."""

from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape, quoteattr

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 84, 12, 14, 26
LINE = 26  # of a bar that lies
NAMES, NUMBERS = 200, 84  # the room for the names and the numbers of bars that lie
NAME_MAX = 28
TICKS = 4
LABEL_WIDTH = 70
BAR, INK, GRID = "#0072B2", "#333", "#CCC"

Bars = Sequence[tuple[str, int]]
Written = Callable[[int], str]


def standing_bars(title: str, bars: Bars, written: Written, *, top: int | None = None) -> str:
    """One bar beside the other, as over time. `bars` are names and whole numbers, `written` how a
    number is read; the scale ends at `top`, or above the highest bar."""
    scale = top or _round_up(max((value for _, value in bars), default=0))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    pitch = wide / max(1, len(bars))
    drawn = []
    for tick in range(TICKS + 1):
        y = TOP + high - high * tick / TICKS
        drawn.append(
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{escape(written(scale * tick // TICKS))}</text>"
        )
    every = max(1, -(-LABEL_WIDTH // max(1, int(pitch))))
    for index, (name, value) in enumerate(bars):
        x, tall = LEFT + index * pitch, high * value / scale
        drawn.append(
            f'<rect x="{x + pitch * 0.1:.1f}" y="{TOP + high - tall:.1f}" width="{pitch * 0.8:.1f}"'
            f' height="{tall:.1f}" fill="{BAR}"><title>{escape(f"{name}: {written(value)}")}'
            "</title></rect>"
        )
        if index % every == 0:
            drawn.append(
                f'<text x="{x + pitch / 2:.1f}" y="{HEIGHT - 8}" text-anchor="middle">'
                f"{escape(name)}</text>"
            )
    return _svg(title, HEIGHT, drawn)


def lying_bars(title: str, bars: Bars, written: Written, *, top: int | None = None) -> str:
    """One bar below the other, each with its name and number; otherwise as `standing_bars`."""
    scale = top or max([1, *(value for _, value in bars)])
    wide = WIDTH - NAMES - NUMBERS
    drawn = []
    for index, (name, value) in enumerate(bars):
        y, long = TOP + index * LINE, wide * value / scale
        short = name if len(name) <= NAME_MAX else f"{name[: NAME_MAX - 1]}…"
        drawn.append(
            f'<text x="{NAMES - 8}" y="{y + 14}" text-anchor="end">{escape(short)}</text>'
            f'<rect x="{NAMES}" y="{y}" width="{long:.1f}" height="{LINE - 8}" fill="{BAR}">'
            f"<title>{escape(f'{name}: {written(value)}')}</title></rect>"
            f'<text x="{NAMES + long + 6:.1f}" y="{y + 14}">{escape(written(value))}</text>'
        )
    return _svg(title, TOP + len(bars) * LINE, drawn)


def _svg(title: str, height: int, drawn: Sequence[str]) -> str:
    return (
        f'<svg role="img" aria-label={quoteattr(title)} viewBox="0 0 {WIDTH} '
        f'{height}" font-family="Arial, Helvetica, sans-serif" font-size="12" fill="{INK}">'
        f"{''.join(drawn)}</svg>"
    )


def _round_up(highest: int) -> int:
    """The end of a scale: 1, 2 or 5 and noughts, times the ticks."""
    step = 1
    while step * TICKS < highest:
        digits = 10 ** (len(str(step)) - 1)
        step = {1: 2, 2: 5, 5: 10}[step // digits] * digits
    return step * TICKS
