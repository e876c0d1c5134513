from hero_engine.models.files import locate
from hero_engine.models.loading import family_of
from hero_engine.models.names import bundled, public_name, resolve
from tinyworld.bundled import PIPELINE


def test_a_bundled_model_is_known_by_its_name():
    assert resolve("tiny") == bundled("tiny") == str(PIPELINE)
    assert family_of(locate("tiny")).endswith(":StableDiffusion")


def test_any_other_name_stays_as_it_is():
    for name in ("somewhere/tiny", "/models/tiny", "tinier", ""):
        assert bundled(name) is None
        assert resolve(name) == name


def test_others_read_of_a_place_its_last_part_only(tmp_path, monkeypatch):
    (tmp_path / "models" / "roses").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for model in (str(tmp_path / "models" / "roses"), "models/roses", "/gone/since/roses"):
        assert public_name(model) == "roses"
    for model in ("tiny", "somebody/roses"):
        assert public_name(model) == model
