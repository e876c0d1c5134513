"""Judged pictures of people's own, from folders."""

from pathlib import Path

import pytest
from PIL import Image

from backend.errors import BadInput
from backend.labels.judged_folder import read_folder


@pytest.fixture
def folder(tmp_path: Path):
    """Writes pictures by their names; the number is their colour."""

    def write(**pictures: int) -> Path:
        for name, colour in pictures.items():
            path = tmp_path / "roses" / name.replace("_", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (colour, 0, 0)).save(path.with_suffix(".png"))
        return tmp_path / "roses"

    return write


def verdicts(judged):
    names = [path.name for path in judged.pictures]
    values = [image.value for image in judged.verdicts.images]
    return dict(zip(names, values, strict=True))


def test_each_folder_is_a_verdict(folder):
    judged = read_folder(folder(good_a=1, good_b=2, bad_c=3, bad_d=4, bad_e=5))
    assert verdicts(judged) == {
        "a.png": "good", "b.png": "good", "c.png": "bad", "d.png": "bad", "e.png": "bad",
    }  # fmt: skip
    assert (judged.good, judged.bad, judged.notes) == (2, 3, ())
    assert judged.verdicts.best_index is None
    assert {image.by for image in judged.verdicts.images} == {"imported"}
    assert judged.verdicts.images[0].reason == "in good/ of roses"


@pytest.mark.parametrize("also_good", [True, False])
def test_one_picture_is_the_best_whether_or_not_it_lies_among_the_good_ones(folder, also_good):
    extra = {"good_z": 9} if also_good else {}
    judged = read_folder(folder(best_z=9, good_a=1, bad_c=3, **extra))
    assert verdicts(judged) == {"z.png": "best", "a.png": "good", "c.png": "bad"}
    assert judged.pictures[judged.verdicts.best_index or 0].parent.name == "best"
    assert (judged.good, judged.bad) == (2, 1)


def test_a_copy_counts_once_and_files_of_the_system_not_at_all(folder):
    source = folder(good_a=1, good_b=1, bad_c=3)
    (source / "good" / ".DS_Store").write_bytes(b"x")
    (source / "bad" / "Thumbs.db").write_bytes(b"x")
    judged = read_folder(source)
    assert verdicts(judged) == {"a.png": "good", "c.png": "bad"}
    assert judged.notes == ("Copies of pictures that are there already, left out: 1.",)


@pytest.mark.parametrize(
    ("pictures", "why"),
    [
        ({"other_a": 1}, "has no folder good/; put the good pictures into good/"),
        ({"bad_a": 1, "bad_b": 2}, "none of its 2 pictures is good"),
        ({"good_a": 1, "bad_b": 1}, "good/a.png and bad/b.png are the same picture"),
        ({"best_a": 1, "bad_b": 1}, "best/a.png and bad/b.png are the same picture"),
        ({"best_a": 1, "best_b": 2}, "best/ has 2 pictures, and one alone"),
        ({"good_a": 1, "good_more_b": 2}, "good/more is no file"),
    ],
)
def test_what_is_refused(folder, pictures, why):
    with pytest.raises(BadInput, match=r"^Cannot import ") as refusal:
        read_folder(folder(**pictures))
    assert why in str(refusal.value)


def test_empty_folders_are_refused(tmp_path):
    (tmp_path / "good").mkdir()
    with pytest.raises(BadInput, match="there is no judged picture in it"):
        read_folder(tmp_path)
