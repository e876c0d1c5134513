"""The labelling pages: the templates we ship, and the check that a project has our controls."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # nosec B405

from backend.consensus import BAD, BEST, VALUES
from backend.errors import LabelConfigUnusable
from backend.run.labelling import Layout
from backend.tasks.gallery import BEST_CONTROL, GOOD_CONTROL, NONE_IS_GOOD, OTHERS_CONTROL
from backend.tasks.predictions import Prediction

TEMPLATES: dict[Layout, str] = {
    "image": "label_config.xml",
    "gallery": "label_config_gallery.xml",
}
PAIRS = "label_config_pairs.xml"


@dataclass(frozen=True)
class VerdictControl:
    """The image layout's Choices control, in which people say good, bad or best."""

    from_name: str
    to_name: str

    @property
    def names(self) -> set[str]:
        """What results call the control."""
        return {self.from_name}

    def result(self, verdict: str) -> dict[str, Any]:
        """One verdict, as Label Studio's predictions and annotations hold it."""
        return _choices(self.from_name, self.to_name, [verdict])

    def prediction(self, verdicts: Mapping[str, str]) -> list[dict[str, Any]]:
        """The result of a task's prediction."""
        return [self.result(verdict) for verdict in verdicts.values()]


@dataclass(frozen=True)
class GalleryControls:
    """The gallery's Choices controls, in which people click the good and the best images."""

    to_name: str
    has_others: bool = True
    """Whether people can say that all are good but those that they click."""

    @property
    def names(self) -> set[str]:
        """What results call the controls."""
        return {GOOD_CONTROL, BEST_CONTROL, *([OTHERS_CONTROL] if self.has_others else [])}

    def prediction(self, verdicts: Mapping[str, str]) -> list[dict[str, Any]]:
        """The result of a page's prediction, from verdicts by image key."""
        good = [key for key, verdict in verdicts.items() if verdict != BAD]
        best = [key for key, verdict in verdicts.items() if verdict == BEST]
        clicked = _choices(GOOD_CONTROL, self.to_name, good)
        chosen = _choices(BEST_CONTROL, self.to_name, best or [NONE_IS_GOOD])
        return [clicked, chosen] if good else [chosen]


def template(layout: Layout = "image", *, pixelated: bool = False) -> str:
    """The label config that new projects get.

    Args:
        layout: see `backend.run.labelling`.
        pixelated: show each pixel as a square: for images so small that enlarging blurs them.
    """
    return _page(TEMPLATES[layout], pixelated)


def pairs_template(*, pixelated: bool = False) -> str:
    """The page on which two images are compared; `pixelated` as in `template`."""
    return _page(PAIRS, pixelated)


def _page(name: str, pixelated: bool) -> str:
    here = Path(__file__).parent
    packaged = here / name
    page = (packaged if packaged.exists() else here.parents[1] / name).read_text()
    if not pixelated:
        return page
    page = page.replace('smoothing="true"', 'smoothing="false"')
    return page.replace("image-rendering: auto", "image-rendering: pixelated")


def controls(label_config: str, layout: Layout) -> VerdictControl | GalleryControls:
    """The controls in which people give verdicts.

    Raises:
        LabelConfigUnusable: names what the layout needs and the page lacks.
    """
    return (gallery_controls if layout == "gallery" else verdict_control)(label_config)


def as_json(
    prediction: Prediction, controls: VerdictControl | GalleryControls | None
) -> dict[str, Any]:
    """A prediction as Label Studio takes it; without a result where the controls are not known."""
    return {
        "model_version": prediction.model_version,
        "score": prediction.score,
        "result": controls.prediction(prediction.verdicts) if controls else [],
    }


def verdict_control(label_config: str) -> VerdictControl:
    """The control with the choices good, bad and best on an image.

    Raises:
        LabelConfigUnusable: names what is missing.
    """
    root = _parse(label_config, "image")
    images = {tag.get("name") for tag in root.iter("Image") if tag.get("value") == "$image"}
    if not images:
        raise _unusable("image", 'it has no <Image name="image" value="$image"/>')
    missing = set(VALUES)
    for control in root.iter("Choices"):
        if control.get("toName") not in images:
            continue
        values = {tag.get("alias") or tag.get("value") for tag in control.iter("Choice")}
        if set(VALUES) <= values:
            return VerdictControl(control.get("name", ""), control.get("toName", ""))
        missing = min(missing, set(VALUES) - values, key=len)
    if len(missing) < len(VALUES):
        names = ", ".join(f'<Choice value="{value}"/>' for value in VALUES if value in missing)
        raise _unusable("image", f"its Choices lack {names}")
    raise _unusable(
        "image", "it has no Choices control on the image with the choices good, bad and best"
    )


def gallery_controls(label_config: str) -> GalleryControls:
    """The controls in which the good and the best images of a page are clicked.

    Raises:
        LabelConfigUnusable: names what is missing.
    """
    root = _parse(label_config, "gallery")
    found = {tag.get("name"): tag for tag in root.iter("Choices")}
    lacking = [
        f'<Choices name="{name}" value="{value}" choice="{choice}"/>'
        for name, value, choice in (
            (GOOD_CONTROL, "$images", "multiple"),
            (BEST_CONTROL, "$marks", "single-radio"),
        )
        if name not in found or found[name].get("value") != value
    ]
    if lacking:
        raise _unusable("gallery", f"it has no {' and no '.join(lacking)}")
    return GalleryControls(found[GOOD_CONTROL].get("toName", ""), OTHERS_CONTROL in found)


def asks_for_best(label_config: str, layout: Layout) -> bool:
    """Whether the page can show the question which image is the best; one that somebody has made,
    or that an earlier version has, may not."""
    if layout == "gallery":
        return True
    controls = _parse(label_config, layout).iter("Choices")
    return any(
        control.get("name") == BEST_CONTROL and control.get("value") == "$marks"
        for control in controls
    )


def _choices(from_name: str, to_name: str, values: Iterable[str]) -> dict[str, Any]:
    return {
        "from_name": from_name,
        "to_name": to_name,
        "type": "choices",
        "value": {"choices": list(values)},
    }


def _parse(label_config: str, layout: Layout) -> ElementTree.Element:
    try:
        # expat stops what grows without end, and nothing outside of the text is read.
        return ElementTree.fromstring(label_config)  # nosec B314
    except ElementTree.ParseError as error:
        raise _unusable(layout, f"it is not XML ({error})") from error


def _unusable(layout: Layout, reason: str) -> LabelConfigUnusable:
    return LabelConfigUnusable(
        f"Cannot read verdicts from the project's labelling configuration: {reason}; put it back "
        f"in the project's settings ({TEMPLATES[layout]} has the whole page)."
    )
