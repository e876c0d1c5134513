"""Pictures that people look at: an epoch with its verdicts, the curve, a sheet of samples."""

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageColor, ImageDraw, ImageFont

BORDER: dict[str | None, str] = {
    "good": "#2e9e4f",
    "bad": "#d9534f",
    "best": "#f0b400",
    None: "#c9ccd1",
}
PAPER, INK, FAINT = "#ffffff", "#22262b", "#7a828c"
SMALLEST_SIDE = 128
"""Images smaller than this are enlarged by a whole factor, without smoothing."""


def epoch_grid(
    images: Sequence[Image.Image],
    verdicts: Sequence[str | None],
    rewards: Sequence[float | None],
    path: Path,
    *,
    title: str = "",
    columns: int = 8,
) -> Path:
    """Writes one epoch as a picture: green, red and gold borders, the reward under each image.

    Args:
        images: the batch, all of one size.
        verdicts: good, bad or best, one an image; None is not judged (grey border).
        rewards: one an image (Eq. 4, in [-1, 1]); None where there is none.
        path: the PNG to write; its folder is made.
        title: a line above the grid.
        columns: images a row.

    Returns:
        `path`.
    """
    captions = ["" if reward is None else f"{reward:+.2f}" for reward in rewards]
    borders = [BORDER[verdict] for verdict in verdicts]
    return _save(_sheet(images, borders, captions, columns=columns, title=title), path)


def contact_sheet(
    images: Sequence[Image.Image], path: Path, *, title: str = "", columns: int | None = None
) -> Path:
    """Writes samples side by side; as many columns as make it nearly square, if not said."""
    columns = columns or math.ceil(math.sqrt(len(images)))
    plain = [PAPER] * len(images)
    return _save(_sheet(images, plain, [""] * len(images), columns=columns, title=title), path)


def curve(good: Sequence[int], judged: Sequence[int], path: Path, *, title: str = "") -> Path:
    """Writes success per epoch with its 95 % Wilson intervals.

    Args:
        good: images judged good (or best), one number an epoch.
        judged: images judged at all; epochs without any are left out.
        path: the PNG to write.
        title: usually the prompt.

    Returns:
        `path`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    epochs = [epoch for epoch, total in enumerate(judged) if total]
    rates = [100 * good[epoch] / judged[epoch] for epoch in epochs]
    spans = [wilson_interval(good[epoch], judged[epoch]) for epoch in epochs]

    figure = Figure(figsize=(7, 4.2), dpi=144, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    numbers = [epoch + 1 for epoch in epochs]
    low, high = [100 * span[0] for span in spans], [100 * span[1] for span in spans]
    axes.fill_between(numbers, low, high, color=BORDER["good"], alpha=0.15, linewidth=0)
    axes.plot(numbers, rates, color=BORDER["good"], linewidth=2, marker="o", markersize=6)
    for number, rate in zip(numbers, rates, strict=True):
        axes.annotate(
            f"{rate:.0f} %", (number, rate), (0, 9), textcoords="offset points", ha="center"
        )
    axes.set(xlabel="epoch", ylabel="images judged good (%)", ylim=(0, 108))
    axes.set_xticks(range(1, len(judged) + 1))
    axes.set_title(title, loc="left", fontsize=12, pad=12)
    axes.text(
        0.995,
        0.03,
        "band: 95 % Wilson interval",
        transform=axes.transAxes,
        ha="right",
        fontsize=8,
        color=FAINT,
    )
    axes.grid(axis="y", color="#e6e8eb")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


@lru_cache(maxsize=4096)
def wilson_interval(good: int, judged: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a rate (Wilson 1927); sound near 0 and 1, unlike +-z*sigma.

    Raises:
        ValueError: nothing was judged.
    """
    if judged < 1:
        raise ValueError("A rate of nothing has no interval: judged must be at least 1.")
    from scipy.stats import binomtest

    interval = binomtest(good, judged).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def _sheet(
    images: Sequence[Image.Image],
    borders: Sequence[str],
    captions: Sequence[str],
    *,
    columns: int,
    title: str,
) -> Image.Image:
    enlarged = [_enlarged(image) for image in images]
    width, height = enlarged[0].size
    border, gap = max(4, width // 28), max(6, width // 20)
    small, large = max(12, width // 10), max(18, width // 6)
    text = ImageFont.load_default(small) if any(captions) else None
    line = int(small * 1.35) if text else 0
    head = ImageFont.load_default(large) if title else None
    top = large * 2 if head else gap

    cell_width, cell_height = width + 2 * border, height + 2 * border + line
    rows = math.ceil(len(images) / columns)
    columns = min(columns, len(images))
    sheet = Image.new(
        "RGB",
        (gap + columns * (cell_width + gap), top + rows * (cell_height + gap)),
        ImageColor.getrgb(PAPER),
    )
    draw = ImageDraw.Draw(sheet)
    if head:
        draw.text((gap, top // 2), title, INK, head, anchor="lm")
    for index, image in enumerate(enlarged):
        left = gap + index % columns * (cell_width + gap)
        upper = top + index // columns * (cell_height + gap)
        draw.rectangle(
            (left, upper, left + cell_width - 1, upper + height + 2 * border - 1), borders[index]
        )
        sheet.paste(image, (left + border, upper + border))
        if captions[index]:
            middle = (left + cell_width // 2, upper + height + 2 * border + line // 2)
            draw.text(middle, captions[index], FAINT, text, anchor="mm")
    return sheet


def _enlarged(image: Image.Image) -> Image.Image:
    factor = max(1, math.ceil(SMALLEST_SIDE / min(image.size)))
    size = (image.width * factor, image.height * factor)
    return image.convert("RGB").resize(size, Image.Resampling.NEAREST)


def _save(sheet: Image.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path
