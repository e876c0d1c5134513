"""A run whose first epoch is imported labels, on its pages, in its report and model card."""

import re

import pytest
from PIL import Image

from backend.dashboard import charts
from backend.dashboard.facts import read_run
from backend.exports import report
from backend.exports.base_model import BaseModel
from backend.exports.model_card import Usage, model_card
from backend.exports.source import Source
from backend.run.records import ImportedBatch, Verdict, Verdicts
from tests.backend.made_runs import MadeRun

SAID = ["best", "good", "bad", "bad", "bad"]


@pytest.fixture
def made(settings, store):
    images = tuple(Verdict(said, "imported", "in roses.json", 1, True) for said in SAID)
    paths = [f"before/{index}.png" for index in range(len(SAID))]
    for path in paths:
        (settings.images_dir / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16)).save(settings.images_dir / path)
    batch = ImportedBatch(paths, Verdicts(images, 0, "the picture in best/", frozenset()))
    made = MadeRun(settings, store, epochs=3, imported=batch)
    made.learn(success_rate=None, diversity=None)
    made.go_round("g", "t", "g", "b")
    return made


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_its_pages(client, made):
    page = client.get(f"/runs/{made.id}").text
    assert (
        f'<a href="/runs/{made.id}/epochs/1">Epoch 1</a> is 5 imported labels: 2 good, 3 bad.'
        in (" ".join(page.split()))
    )
    assert "Epoch 1 imported" in text_of(page)
    assert "judged good 75" in text_of(page), "of the images that the model drew"
    epoch = text_of(client.get(f"/runs/{made.id}/epochs/1").text)
    assert "learned photo of one blue rose in a vase imported" in epoch
    assert "the picture in best/" in epoch
    beside = client.get(f"/runs/{made.id}/epochs?of=1&of=2")
    assert beside.status_code == 200


def test_success_begins_with_what_the_model_drew(settings, store, made):
    facts = read_run(settings, store, made.id)
    curve = charts.success(facts)
    assert curve is not None
    assert [row[0] for row in curve.rows] == ["2"]
    assert facts.view.success == "75% in epoch 2"


def test_its_report(settings, store, made, tmp_path):
    report.write(Source(settings, store, made.run), "html", tmp_path / "report.html")
    said = text_of((tmp_path / "report.html").read_text())
    assert "Epoch 1 is 5 imported labels: 2 good, 3 bad." in said


def test_its_model_card(settings, store, made):
    facts = read_run(settings, store, made.id)
    card = model_card(
        facts, BaseModel("roses", False), Usage("pipe = ...\n", ()), "A method.", None
    )
    assert "Epoch 1 is 5 imported labels: 2 good, 3 bad." in card
    assert "those of epoch 2 are those of the model that has learned from the imported" in card
    assert "9 images have a verdict: 5 good and 4 bad" in card
    success = card.split("## Success")[1]
    assert "| 2 | 3 | 4 |" in success and "| 1 |" not in success.split("\n- ")[0]
