"""What is decided about memory, and that it changes nothing that it should not."""

import shutil

import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline

from hero_engine.errors import ConfigError
from hero_engine.methods.base import Method
from hero_engine.methods.check_run import check_run
from hero_engine.models import memory
from hero_engine.models.loading import Found
from hero_engine.models.memory import first_that_fits, needed_bytes, plan_memory
from hero_engine.models.policy import Policy, load_family
from hero_engine.models.size import ModelSize, PartSize, model_size
from hero_engine.storage.batch import Feedback
from hero_engine.storage.checkpoint import Checkpoint
from tests.hero_engine.tiny import save_pipeline
from tests.hero_engine.tiny.single_file import save_single_file
from tinyworld.bundled import PIPELINE

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SD = ModelSize(PartSize(860_000_000, "F32"), PartSize(84_000_000, "F32"), PartSize(123_000_000, ""))
GB = 10**9


def size_of(config):
    found = Found(config.model)
    return model_size(found.files, found.family.network_name, found.family.left_out)


def test_the_size_is_that_of_the_loaded_model(pipelines, make_config):
    for folder in pipelines.values():
        config = make_config(model=str(folder))
        family, size = load_family(config.model), size_of(config)
        parts = [family.network, family.pipe.vae, *family.encoders.values()]
        assert size.network.kind == "F32"
        assert size.network.parameters >= sum(p.numel() for p in family.network.parameters())
        # files also hold buffers, and T5's hold its embedding twice
        loaded = sum(p.numel() for part in parts for p in part.parameters())
        assert loaded <= size.parameters <= 1.2 * loaded


def test_the_size_of_pickled_and_of_half_weights(tmp_path, make_config):
    folder = save_pipeline(tmp_path / "float32")
    expected = size_of(make_config(model=str(folder)))
    pipe = StableDiffusionPipeline.from_pretrained(folder)
    pipe.save_pretrained(tmp_path / "pickled", safe_serialization=False)
    pipe.to(dtype=torch.bfloat16).save_pretrained(tmp_path / "half")
    half = size_of(make_config(model=str(tmp_path / "half")))
    assert (half.network.parameters, half.network.kind) == (expected.network.parameters, "BF16")
    pickled = size_of(make_config(model=str(tmp_path / "pickled")))
    assert pickled.network.kind == "F32"
    assert expected.network.parameters <= pickled.network.parameters


def test_needed_bytes_by_hand():
    high = needed_bytes("high", SD, CUDA, 2.0)
    assert high == 4 * (860 + 84 + 123) * 10**6 + 1.25 * 4 * 860 * 10**6 * 2
    low = needed_bytes("low", SD, CUDA, 2.0)
    assert low == (2 * 860 + 4 * 84) * 10**6 + 0.25 * 4 * 860 * 10**6 * 2
    assert needed_bytes("low", SD, CPU, 2.0) == low + 2 * 123 * 10**6


@pytest.mark.parametrize(
    ("free", "level"), [(24, "high"), (14, "low"), (4, "8-bit"), (3.1, "4-bit"), (1, "4-bit")]
)
def test_the_first_level_that_fits_is_chosen(free, level):
    plan = first_that_fits(memory.LEVELS, SD, CUDA, int(free * GB), 2.0)
    assert plan.level == level
    assert plan.fits == (free > 1)
    assert f"Memory is {level}: " in plan.sentence()
    assert ("that may be too little" in plan.sentence()) == (free == 1)
    assert f"of the {free:.1f} GB that are free" in plan.sentence()


def test_weights_keep_the_kind_of_their_file(make_config, pipeline):
    for folder, kind in ((PIPELINE, torch.float16), (pipeline, torch.bfloat16)):
        config = make_config(model=str(folder), memory="low")
        assert plan_memory(config, Found(config.model), CPU).half == kind
    assert (
        "stored in bfloat16 and widened to float32 in use"
        in first_that_fits(["low"], SD, CUDA, 8 * GB, 2.0).sentence()
    )


def test_small_models_are_held_in_float32(make_config):
    config = make_config()
    policy = Policy(config)
    assert config.model.memory == "auto"
    assert policy.memory.level == "high"
    assert check_run(config) == []


def test_a_pass_has_more_latents_with_guidance_larger_images_and_larger_batches(make_config):
    def needed(**fields):
        config = make_config(**{"guidance_scale": 1.0, "forward_batch_size": 1, **fields})
        return plan_memory(config, Found(config.model), CPU).needed

    none, base = needed_bytes("high", size_of(make_config()), CPU, 0.0), needed()
    for fields, times in [
        ({"guidance_scale": 3.0}, 2),
        ({"forward_batch_size": 4}, 4),
        ({"height": 32, "width": 64}, 8),
    ]:
        assert needed(**fields) - none == pytest.approx(times * (base - none), abs=times)


@pytest.mark.parametrize(
    ("level", "device", "why"),
    [
        ("4-bit", CPU, "needs a CUDA GPU, and the device is cpu; set memory to low"),
        ("4-bit", CUDA, "needs the package bitsandbytes, which is not installed"),
        ("8-bit", CPU, "needs the package torchao, which is not installed"),
    ],
)
def test_what_is_not_there_is_refused_and_not_chosen(make_config, monkeypatch, level, device, why):
    monkeypatch.setattr(memory, "find_spec", lambda _: None)
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1)
    config = make_config(memory=level)
    with pytest.raises(ConfigError, match=why):
        plan_memory(config, Found(config.model), device)
    config = make_config()
    assert plan_memory(config, Found(config.model), device).level == "low"


def test_a_single_file_is_loaded_in_half_too_but_not_in_fewer_bits(make_config, pipeline, tmp_path):
    file = save_single_file(pipeline, tmp_path / "roses.safetensors")
    config = make_config(model=str(file), pipeline_config=str(pipeline), memory="low")
    assert size_of(config).network == size_of(make_config()).network
    single, folder = Policy(config), Policy(make_config(memory="low"))
    for (name, one), other in zip(
        single.network.named_parameters(), folder.network.parameters(), strict=True
    ):
        assert torch.equal(one, other), name
    assert {each.dtype for each in single.pipe.vae.parameters()} == {torch.float32}
    config = make_config(model=str(file), pipeline_config=str(pipeline), memory="8-bit")
    with pytest.raises(ConfigError, match="the model is a single file; set memory to low"):
        plan_memory(config, Found(config.model), CPU)


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3", "flux", "z_image", "flux2"])
def test_a_run_in_low_memory_learns_and_goes_on_after_a_stop(
    pipelines, make_config, tmp_path, family
):
    run = Method.create(make_config(model=str(pipelines[family]), memory="low"))
    good = Feedback((True, False) * 4, best=0)
    report = run.learn(run.generate(), good)
    assert report.updated
    assert report.ratio_error <= 5e-6
    run.save(tmp_path / "saved")
    again = Method.resume(tmp_path / "saved")
    for each in (run, again):
        each.learn(each.generate(), good)
    before, after = run.policy.lora_state(), again.policy.lora_state()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_model_in_16_bits_draws_and_learns_the_same_in_low_memory(make_config):
    runs = [
        Method.create(make_config(model=str(PIPELINE), images_per_epoch=4, memory=level))
        for level in ("high", "low")
    ]
    batches = [run.generate() for run in runs]
    assert torch.equal(batches[0].latents, batches[1].latents)
    assert [i.tobytes() for i in batches[0].images] == [i.tobytes() for i in batches[1].images]
    for run, batch in zip(runs, batches, strict=True):
        run.learn(batch, Feedback((True, False) * 2, best=0))
    high, low = (run.policy.lora_state() for run in runs)
    assert all(torch.equal(high[name], low[name]) for name in high)


def test_a_run_goes_on_as_it_was_held_whatever_memory_there_is_now(
    make_config, tmp_path, monkeypatch
):
    run = Method.create(make_config())
    run.save(tmp_path / "high")
    assert Checkpoint.load(tmp_path / "high").config["memory"] == "high"
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1)
    assert Method.resume(tmp_path / "high").policy.memory.level == "high"
    run = Method.create(make_config())
    assert run.policy.memory.level == "low"
    run.save(tmp_path / "low")
    monkeypatch.undo()
    assert Method.resume(tmp_path / "low").policy.memory.level == "low"


def test_a_run_of_a_version_without_the_setting_goes_on_in_float32(
    make_config, tmp_path, monkeypatch
):
    run = Method.create(make_config())
    config = run.config.flat()
    del config["memory"]
    Checkpoint(config, 0, run._tensors(), run._facts()).save(tmp_path / "saved")
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1)
    assert Method.resume(tmp_path / "saved").policy.memory.level == "high"


def test_large_images_are_decoded_in_tiles_and_small_ones_whole(make_config, monkeypatch):
    high, low = (Policy(make_config(memory=level)) for level in ("high", "low"))
    latents = torch.randn(1, *high.latent_shape, generator=torch.Generator().manual_seed(0))
    assert next(high.decode(latents)).tobytes() == next(low.decode(latents)).tobytes()
    decoded = []
    decode = low.pipe.vae.decoder.forward
    monkeypatch.setattr(
        low.pipe.vae.decoder, "forward", lambda z: decoded.append(z.shape) or decode(z)
    )
    list(low.decode(torch.randn(1, 4, 300, 8)))
    assert len(decoded) > 1
    assert max(shape[2] for shape in decoded) == 256  # 512 pixels


def test_a_model_in_float16_is_drawn_in_float32_whatever_the_level(make_config, tmp_path):
    """So that the VAEs of SDXL, which overflow in float16, do not."""
    folder = shutil.copytree(PIPELINE, tmp_path / "model")
    for level in ("high", "low"):
        policy = Policy(make_config(model=str(folder), memory=level))
        assert {each.dtype for each in policy.pipe.vae.parameters()} == {torch.float32}
        assert (
            policy.denoiser("one rose")(
                torch.zeros(1, *policy.latent_shape), torch.tensor([500])
            ).dtype
            == torch.float32
        )


def test_int8_by_torchao(make_config, pipelines):
    pytest.importorskip("torchao")
    run = Method.create(make_config(model=str(pipelines["sd3"]), memory="8-bit"))
    kinds = {
        type(each.weight).__name__
        for each in run.policy.network.modules()
        if type(each) is torch.nn.Linear
    }
    assert "Int8Tensor" in kinds
    report = run.learn(run.generate(), Feedback((True, False) * 4, best=0))
    assert report.updated
    assert report.ratio_error <= 5e-6
    assert isinstance(run.policy.pipe, DiffusionPipeline)
