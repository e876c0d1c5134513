"""What the run has learned, used by plain diffusers as the exports' own README says."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from backend import cli
from backend import engine as engine_module
from backend.errors import EngineFailed
from backend.exports import export
from backend.exports.lora_usage import code, how_to_use
from tests.backend.learned import learned

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Path:
    from tests.hero_engine.tiny import save_pipeline

    return save_pipeline(tmp_path_factory.mktemp("models") / "random")


def test_the_noise_bank_draws_what_hero_generate_draws(
    settings, store, pipeline, tmp_path, monkeypatch
):
    import torch

    from hero_engine import Hero
    from hero_engine.feedback.noise_bank import pi_hero

    run = learned(settings, store, pipeline, ["good", "bad", "best", "good"], 2)
    folder = export(settings, store, run, "noise", None, tmp_path / "noise")
    lora = export(settings, store, run, "lora", None, folder)
    assert lora == folder / f"{run.id}-lora.safetensors"
    bank = load_file(folder / "noise_bank.safetensors")
    assert {name: tuple(noise.shape) for name, noise in bank.items()} == {
        "good": (3, 4, 8, 8),
        "best": (4, 8, 8),
    }

    [code] = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
    monkeypatch.chdir(folder)
    said = SimpleNamespace()
    exec(code, said.__dict__)
    assert len(said.images) == 4

    hero = Hero.resume(engine_module.checkpoint_folder(settings, run.id, 1))
    assert hero.bank is not None
    ours = pi_hero(
        hero.bank,
        6,
        (4, 8, 8),
        best_image_ratio=hero.settings.best_image_ratio,
        noise_variance=hero.settings.noise_variance,
        noise_form=hero.settings.noise_form,
        generator=torch.Generator().manual_seed(5),
    )
    assert torch.equal(said.draw(6, torch.Generator().manual_seed(5)), ours)

    # The same noises, and the same generator for the steps: the same images.
    samples = engine_module.sample(settings, run, 4, noise="bank", seed=7)
    from hero_engine.streams import row_streams

    theirs = said.pipe(
        hero.config.prompt,
        negative_prompt=hero.config.negative_prompt,
        num_images_per_prompt=4,
        latents=samples.noises,
        generator=row_streams(7, 0, "fresh sampling", range(4)),
        num_inference_steps=hero.config.sampling.num_inference_steps,
        guidance_scale=hero.config.sampling.guidance_scale,
        eta=hero.config.sampling.eta,
    ).images
    assert [image.tobytes() for image in theirs] == [image.tobytes() for image in samples.images]


def without_t5(folder: Path) -> Path:
    from tests.hero_engine.tiny import save_sd3

    return save_sd3(folder, t5=False)


@pytest.mark.parametrize(
    "family", ["sd3", "sd3 without T5", "flux", "z_image", "qwen_image", "flux2", "tiny-sd3"]
)
def test_the_noise_bank_of_a_flow_model_draws_by_its_own_sampler(
    settings, store, tmp_path, monkeypatch, family
):
    from tests.hero_engine.tiny import MAKERS
    from tests.hero_engine.tiny.qwen_image import save_qwen_image

    others = {"sd3 without T5": without_t5, "qwen_image": save_qwen_image}
    make = {**MAKERS, **others}.get(family)
    model = make(tmp_path / family) if make else family
    size = {"height": 16, "width": 24} if family == "qwen_image" else {}
    run = learned(settings, store, model, ["good", "bad", "best", "good"], 2, **size)
    folder = export(settings, store, run, "noise", None, tmp_path / "noise")
    lora = export(settings, store, run, "lora", None, folder)
    assert "AUTOMATIC1111" not in how_to_use(lora)
    page = (folder / "README.md").read_text()
    assert ("max_sequence_length=20," in page) == (family == "tiny-sd3")
    assert ("text_encoder_3=None" in page) == (family == "sd3 without T5")
    [code] = re.findall(r"```python\n(.*?)```", page, re.S)
    monkeypatch.chdir(folder)
    samples = engine_module.sample(settings, run, 4, noise="bank", scheduler="euler", seed=7)
    said = {"given": samples.noises}
    exec(code.replace("draw(4, generator)", "given"), said)
    for image, ours in zip(said["images"], samples.images, strict=True):
        # decoded all at once, which rounds differently
        assert np.abs(np.int16(image) - np.int16(ours)).max() <= 1


@pytest.mark.parametrize("family", ["sdxl", "tiny", "tiny-sdxl"])
def test_the_noise_bank_draws_by_the_schedule_that_the_run_has(
    settings, store, tmp_path, monkeypatch, family
):
    from hero_engine.streams import row_streams
    from tests.hero_engine.tiny import save_sdxl

    model = save_sdxl(tmp_path / "xl") if family == "sdxl" else family
    run = learned(settings, store, model, ["good", "bad", "best", "good"], 2)
    folder = export(settings, store, run, "noise", None, tmp_path / "noise")
    export(settings, store, run, "lora", None, folder)
    page = (folder / "README.md").read_text()
    assert ("clip_sample=False" in page) == (family == "sdxl")
    [code] = re.findall(r"```python\n(.*?)```", page, re.S)
    monkeypatch.chdir(folder)
    samples = engine_module.sample(settings, run, 4, noise="bank", seed=7)
    rows = row_streams(7, 0, "fresh sampling", list(range(4)))
    said = {"given": samples.noises, "rows": rows}
    code = code.replace("draw(4, generator)", "given").replace("=generator,", "=rows,")
    assert "=rows," in code
    exec(code, said)
    for image, ours in zip(said["images"], samples.images, strict=True):
        # decoded all at once, which rounds differently
        assert np.abs(np.int16(image) - np.int16(ours)).max() <= 1


def test_a_lora_by_its_own_name_and_with_a_card(settings, store, pipeline, tmp_path, monkeypatch):
    run = learned(settings, store, pipeline, ["good", "bad", "good", "bad"], None)
    assert export(settings, store, run, "lora", None, tmp_path / "rose.safetensors").stat().st_size
    default = export(settings, store, run, "lora")
    assert default.relative_to(settings.run_dir(run.id)) == Path(
        f"exports/{run.id}-lora.safetensors"
    )
    assert [path.name for path in tmp_path.glob("rose*")] == ["rose.safetensors"]

    monkeypatch.setenv("HERO_HOME", str(settings.home))
    said = CliRunner().invoke(cli.app, ["export", run.id, "--format", "hf"])
    folder = settings.run_dir(run.id) / "exports" / f"{run.id}-lora-hf"
    assert (said.exit_code, said.stdout) == (
        0,
        f"Wrote {folder}\n{how_to_use(folder / default.name)}\n",
    )
    exported = load_file(default)
    for name, tensor in load_file(folder / default.name).items():
        assert tensor.equal(exported.pop(name))
    assert exported == {}
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", default.name]


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3", "flux", "z_image", "qwen_image", "flux2"])
def test_the_code_of_a_model_card_draws_the_prompt(settings, tmp_path, monkeypatch, family):
    from hero_engine import Method
    from tests.hero_engine.tiny import MAKERS
    from tests.hero_engine.tiny.qwen_image import save_qwen_image

    model = str({**MAKERS, "qwen_image": save_qwen_image}[family](tmp_path / family))
    asked = {"negative_prompt": "cup"} if family != "flux" else {}
    config = engine_module.make_config(
        model=model,
        prompt="a 'b' rose",
        num_inference_steps=2,
        trained_steps=1,
        height=32,
        width=16,
        **asked,
    )
    hero = Method.create(config)
    lora = hero.export_lora(tmp_path / "rose.safetensors", {})
    use = engine_module.plain_use(config)
    text = code(config.flat(), use, model, lora.name, ".")
    monkeypatch.chdir(tmp_path)
    said: dict = {}
    exec(text, said)
    assert type(said["pipe"]).__name__ == use.pipeline
    assert said["pipe"].get_list_adapters() != {}
    assert said["image"].size == (16, 32)
    given = "encode_prompt('cup')" if family == "flux2" else "negative_prompt='cup'"
    assert (given in text) == bool(asked)
    scale = {"z_image": "guidance_scale=4.0", "qwen_image": "true_cfg_scale=5.0"}
    assert scale.get(family, "guidance_scale=5.0") in text


def test_no_good_image_leaves_no_noise_and_no_folder(settings, store, pipeline, tmp_path):
    run = learned(settings, store, pipeline, ["bad"] * 4, None)
    with pytest.raises(EngineFailed, match="no image of this run has been called good"):
        export(settings, store, run, "noise", None, tmp_path / "noise")
    assert not (tmp_path / "noise").exists()
