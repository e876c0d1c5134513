"""Models of few steps, of every family: not for methods whose policy is the steps."""

import json
import shutil

import pytest

from hero_engine.config import ModelSettings
from hero_engine.errors import ConfigError
from hero_engine.methods.check_run import check_run
from hero_engine.methods.table import METHODS
from hero_engine.models.few_steps import name_says_few_steps
from hero_engine.models.loading import Found
from tests.hero_engine.tiny import MAKERS, save_flux, save_flux2
from tests.hero_engine.tiny.flux import SCHNELL
from tests.hero_engine.tiny.qwen_image import save_qwen_image

BY_STEPS = ("hero", "d3po", "ddpo")
ALL = {**MAKERS, "qwen_image": save_qwen_image}


def with_scheduler(folder, name):
    for path in (folder / "model_index.json", folder / "scheduler" / "scheduler_config.json"):
        said = json.loads(path.read_text())
        key = "scheduler" if path.name == "model_index.json" else "_class_name"
        path.write_text(
            json.dumps({**said, key: ["diffusers", name] if key == "scheduler" else name})
        )
    return folder


CONFIGURED = {
    "sd of LCM": lambda folder: with_scheduler(MAKERS["sd"](folder), "LCMScheduler"),
    "sdxl of TCD": lambda folder: with_scheduler(MAKERS["sdxl"](folder), "TCDScheduler"),
    "FLUX.1 s": lambda folder: save_flux(folder, guidance_embeds=False, **SCHNELL),
    "FLUX.2 k": lambda folder: save_flux2(folder, is_distilled=True),
}
"""Whose configuration says it."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("few")
    named = {f"{family}-turbo": make for family, make in ALL.items()}
    return {kind: make(root / kind) for kind, make in {**named, **CONFIGURED}.items()}


def fields_of(method, folder):
    return {
        "ddpo": {"reward_model": "pickscore", "reward_model_path": str(folder)},
        "prompt": {"enhanced_prompt": "a rose"},
    }.get(method, {})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [*(f"{family}-turbo" for family in ALL), *CONFIGURED])
def test_they_are_refused_where_steps_are_the_policy_and_nowhere_else(
    folders, make_config, kind, method
):
    fields = fields_of(method, folders[kind])
    config = make_config(model=str(folders[kind]), method=method, **fields)
    if method not in BY_STEPS:
        assert check_run(config) == []
        return
    with pytest.raises(ConfigError) as refused:
        check_run(config)
    by = "configuration says," if kind in CONFIGURED else "name says (if its name is wrong"
    said = str(refused.value)
    assert f"is a model of few steps, as its {by}" in said
    assert f"from which {method} cannot learn" in said
    assert "set method to hero+, dreambooth or prompt" in said


@pytest.mark.parametrize("family", ALL)
def test_others_are_not_taken_for_them(pipelines, folders, tmp_path, family):
    folder = shutil.copytree(folders[f"{family}-turbo"], tmp_path / "a rose in 50 steps")
    assert Found(ModelSettings(name=str(folder))).few_steps_by is None


@pytest.mark.parametrize(
    ("name", "few"),
    [
        ("stabilityai/stable-diffusion-3.5-large-turbo", True),
        ("Tongyi-MAI/Z-Image-Turbo", True),
        ("ByteDance/SDXL-Lightning", True),
        ("/models/dreamshaperXL_lightningDPMSDE.safetensors", True),
        ("/models/dreamshaperXL_v21TurboDPMSDE.safetensors", True),
        ("SimianLuo/LCM_Dreamshaper_v7", True),
        ("sdxl_lightning_8step", True),
        ("turbo/stable-diffusion-v1-5", False),
        ("/turbo/models/sdxl", False),
        ("me/turbochargers", False),
        ("me/rose_28steps", False),
        ("me/rose-epoch-3-step-500", False),
        ("me/rose_2_stepsize", False),
        ("me/Rose 8 Steps v2", True),
        ("stabilityai/stable-diffusion-xl-base-1.0", False),
        ("black-forest-labs/FLUX.1-dev", False),
        ("tiny", False),
    ],
)
def test_names(name, few):
    assert name_says_few_steps(name) is few
