import json

import pytest
import torch

from hero_engine.errors import ConfigError
from hero_engine.models.schedulers import SCHEDULERS
from hero_engine.models.stable_diffusion import StableDiffusion
from tests.hero_engine.tiny import save_pipeline


@pytest.fixture(scope="module")
def family(pipeline):
    return StableDiffusion.load(str(pipeline))


def test_guidance_leads_away_from_the_negative_prompt(family):
    z_t, timesteps = torch.randn(2, *family.latent_shape), torch.tensor([900, 300])
    device = torch.device("cpu")
    condition = family.encode("one rose", "two cats", device)
    with torch.no_grad():
        rose, cats = (
            family.predict(z_t, timesteps, family.encode(prompt, None, device), 3.0)
            for prompt in ("one rose", "two cats")
        )
        guided = family.predict(z_t, timesteps, condition, 3.0)
    assert not torch.allclose(rose, cats)
    torch.testing.assert_close(guided, cats + 3.0 * (rose - cats), atol=1e-5, rtol=1e-5)


def test_latents_need_not_be_square(family, tmp_path):
    assert family.latent_shape == (4, 8, 8)
    folder = save_pipeline(tmp_path / "wide")
    config = folder / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "sample_size": [8, 16]}))
    assert StableDiffusion.load(str(folder)).latent_shape == (4, 8, 16)


def test_the_forward_process_is_the_schedulers_and_begins_where_sampling_does(tmp_path):
    folder = save_pipeline(tmp_path / "pipeline", prediction_type="v_prediction")
    family = StableDiffusion.load(str(folder))
    schedule = family.schedule(4, 1.0)
    process = family.forward_process(schedule)
    assert process.prediction_type == "v_prediction"
    assert torch.equal(process.alphas_cumprod, family.pipe.scheduler.alphas_cumprod)
    assert process.first_timestep == int(schedule.timesteps[0]) == 751


@pytest.mark.parametrize("name", SCHEDULERS)
def test_another_sampler_leaves_the_runs_own_as_it_is(family, name):
    before = family.pipe.scheduler
    other = family.pipeline(name)
    assert other.scheduler is not before is family.pipe.scheduler
    assert other.unet is family.pipe.unet


def test_an_unknown_sampler_is_named(family):
    with pytest.raises(ConfigError, match=r"no scheduler called 'heun'.*dpm\+\+"):
        family.pipeline("heun")
