"""The labelling page: the template we ship, and the check that a project still has its control."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from backend.consensus import VALUES
from backend.errors import LabelConfigUnusable


@dataclass(frozen=True)
class VerdictControl:
    """The Choices control in which people say good, bad or best."""

    from_name: str
    to_name: str

    def result(self, verdict: str) -> dict[str, Any]:
        """One verdict, as Label Studio's predictions and annotations hold it."""
        return {
            "from_name": self.from_name,
            "to_name": self.to_name,
            "type": "choices",
            "value": {"choices": [verdict]},
        }


def template(*, pixelated: bool = False) -> str:
    """The label config that new projects get.

    Args:
        pixelated: show each pixel as a square: for images so small that enlarging blurs them.
    """
    here = Path(__file__).parent
    packaged = here / "label_config.xml"
    page = (packaged if packaged.exists() else here.parent / "label_config.xml").read_text()
    return page.replace('smoothing="true"', 'smoothing="false"') if pixelated else page


def verdict_control(label_config: str) -> VerdictControl:
    """The control with the choices good, bad and best on an image.

    Raises:
        LabelConfigUnusable: names what is missing.
    """
    try:
        root = ElementTree.fromstring(label_config)
    except ElementTree.ParseError as error:
        raise _unusable(f"it is not XML ({error})") from error
    images = {tag.get("name") for tag in root.iter("Image") if tag.get("value") == "$image"}
    if not images:
        raise _unusable('it has no <Image name="image" value="$image"/>')
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
        raise _unusable(f"its Choices lack {names}")
    raise _unusable("it has no Choices control on the image with the choices good, bad and best")


def _unusable(reason: str) -> LabelConfigUnusable:
    return LabelConfigUnusable(
        f"Cannot read verdicts from the project's labelling configuration: {reason}; put it back "
        "in the project's settings (label_config.xml has the whole page)."
    )
