import pytest
from diffusers import DDIMScheduler

from hero_engine.diffusion.ddim import ddim_schedule
from hero_engine.errors import ConfigError, UnsupportedModel

STABLE_DIFFUSION = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
}
FINAL_STEP_WITHOUT_NOISE = {**STABLE_DIFFUSION, "steps_offset": 0, "set_alpha_to_one": True}
FINAL_STEP_WITH_NOISE = {**STABLE_DIFFUSION, "steps_offset": 1, "set_alpha_to_one": False}


@pytest.mark.parametrize(
    ("scheduler", "last_std"), [(FINAL_STEP_WITHOUT_NOISE, 0.0), (FINAL_STEP_WITH_NOISE, 0.0206)]
)
def test_deviation_of_the_final_step(scheduler, last_std):
    schedule = ddim_schedule(DDIMScheduler(**{**scheduler, "beta_end": 0.008}), 50, 1.0)
    assert schedule.std[-1].item() == pytest.approx(last_std, abs=1e-4)
    assert len(schedule.trainable) == (49 if last_std == 0 else 50)


def test_unusable_schedules_say_so():
    with pytest.raises(UnsupportedModel, match="dynamic thresholding"):
        ddim_schedule(DDIMScheduler(thresholding=True), 10, 1.0)
    with pytest.raises(ConfigError, match="trained with 1000 timesteps"):
        ddim_schedule(DDIMScheduler(), 1001, 1.0)
