import huggingface_hub.constants
import pytest

from hero_engine.errors import ModelNotFound
from hero_engine.models.loading import family_of
from hero_engine.models.policy import load_family
from tests.hero_engine.tiny import save_pipeline


def test_a_path_that_is_no_pipeline(tmp_path):
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model_index.json").write_text("{")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "model_index.json").write_text("[]")
    for model, message in [
        (str(tmp_path), r"is no diffusers pipeline: it has no model_index\.json"),
        (str(tmp_path / "missing"), "There is no folder"),
        (str(tmp_path / "model.safetensors"), "is a file, not a diffusers pipeline"),
        (str(tmp_path / "broken"), r"model_index\.json of .* cannot be read"),
        (str(tmp_path / "odd"), r"model_index\.json of .* cannot be read"),
        ("./missing", "There is no folder"),
        ("tinier", "There is no folder 'tinier'"),
    ]:
        with pytest.raises(ModelNotFound, match=message) as raised:
            family_of(model)
        assert "\n" not in str(raised.value)


def test_an_incomplete_pipeline(tmp_path):
    folder = save_pipeline(tmp_path / "pipeline")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelNotFound, match=r"Loading the pipeline .* failed"):
        load_family(str(folder))


def test_a_damaged_pipeline(tmp_path):
    folder = save_pipeline(tmp_path / "pipeline")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelNotFound, match=r"Loading the pipeline .* failed"):
        load_family(str(folder))


def test_a_hub_that_cannot_be_reached(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFound, match=r"could not be fetched from .*; check the name"):
        family_of("nobody/no-such-model")
