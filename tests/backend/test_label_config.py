"""The check that a labelling page can take verdicts."""

import pytest

from backend.errors import LabelConfigUnusable
from backend.label_config import VerdictControl, template, verdict_control

IMAGE = '<Image name="image" value="$image"/>'
CHOICES = "".join(f'<Choice value="{value}"/>' for value in ("good", "bad", "best"))


def page(*parts: str) -> str:
    return f"<View>{''.join(parts)}</View>"


def test_the_shipped_template():
    assert verdict_control(template()) == VerdictControl("verdict", "image")
    assert verdict_control(template(pixelated=True)) == VerdictControl("verdict", "image")


def test_small_images_are_shown_pixel_by_pixel():
    assert 'smoothing="true"' in template()
    assert 'smoothing="false"' in template(pixelated=True)


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
