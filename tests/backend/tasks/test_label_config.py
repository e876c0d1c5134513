"""The check that a labelling page can take verdicts."""

import pytest

from backend.errors import LabelConfigUnusable
from backend.tasks.label_config import (
    GalleryControls,
    VerdictControl,
    controls,
    template,
    verdict_control,
)

IMAGE = '<Image name="image" value="$image"/>'
CHOICES = "".join(f'<Choice value="{value}"/>' for value in ("good", "bad", "best"))


def page(*parts: str) -> str:
    return f"<View>{''.join(parts)}</View>"


def test_the_shipped_template():
    assert verdict_control(template()) == VerdictControl("verdict", "image")
    assert verdict_control(template(pixelated=True)) == VerdictControl("verdict", "image")
    assert controls(template("gallery"), "gallery") == GalleryControls("prompt")


def test_small_images_are_shown_pixel_by_pixel():
    assert 'smoothing="true"' in template()
    assert 'smoothing="false"' in template(pixelated=True)
    assert "image-rendering: pixelated" not in template("gallery")
    assert "image-rendering: pixelated" in template("gallery", pixelated=True)


def test_another_name_and_more_controls():
    other = '<Choices name="mood" toName="image"><Choice value="fine"/></Choices>'
    ours = f'<Choices name="vote" toName="image">{CHOICES}<Choice value="skip"/></Choices>'
    assert verdict_control(page(IMAGE, other, ours)).from_name == "vote"


def test_an_alias_is_the_value_that_is_stored():
    choices = CHOICES.replace('value="good"', 'value="Yes" alias="good"')
    control = f'<Choices name="v" toName="image">{choices}</Choices>'
    assert verdict_control(page(IMAGE, control)).from_name == "v"


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        ("", "not XML"),
        ("<View>", "not XML"),
        (page(f'<Choices name="v" toName="image">{CHOICES}</Choices>'), "no <Image"),
        (page('<Image name="image" value="$other"/>'), "no <Image"),
        (page(IMAGE), "no Choices control"),
        (page(IMAGE, f'<Choices name="v" toName="text">{CHOICES}</Choices>'), "no Choices"),
        (
            page(IMAGE, '<Choices name="v" toName="image"><Choice value="good"/></Choices>'),
            'lack <Choice value="bad"/>, <Choice value="best"/>',
        ),
    ],
)
def test_what_is_missing_is_named(config: str, missing: str):
    with pytest.raises(LabelConfigUnusable, match="put it back") as caught:
        verdict_control(config)
    assert missing in str(caught.value)


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        ("<View>", "not XML"),
        (template(), 'no <Choices name="good" value="$images" choice="multiple"/>;'),
        (template("gallery").replace('name="best"', 'name="top"'), 'no <Choices name="best"'),
        (template("gallery").replace('"$marks"', '"$other"'), 'value="$marks"'),
    ],
)
def test_what_is_missing_on_a_gallery_page_is_named(config: str, missing: str):
    with pytest.raises(LabelConfigUnusable, match=r"label_config_gallery\.xml") as caught:
        controls(config, "gallery")
    assert missing in str(caught.value)
