"""Several processes end with what one ends with, to the last bit."""

import json

import accelerate
import pytest
import torch
from safetensors.torch import load_file

from hero_engine import processes
from hero_engine.errors import ConfigError
from hero_engine.methods.base import Method
from tests.hero_engine.several import (
    epochs,
    one_learns_otherwise,
    one_leaves,
    parts,
    run_together,
    unlike,
)
from tests.hero_engine.tiny import save_sd3

RUNS = {
    "hero": {},
    "hero+": {
        "method": "hero+",
        "denoising_steps": 3,
        "denoising_batch_size": 5,
        "forward_batch_size": 2,
        "preservation_weight": 0.5,
        "prior_images": 4,
        "denoising_full_share": 0.0,
    },
    "d3po": {"method": "d3po", "learning_rate": 1e-2},
    "hero by flow": {},
    "hero+ by flow": {
        "method": "hero+",
        "denoising_steps": 3,
        "denoising_batch_size": 5,
        "forward_batch_size": 2,
    },
    "two prompts": {
        "method": "hero+",
        "further_prompts": ["a cat"],
        "denoising_steps": 3,
        "denoising_batch_size": 5,
        "forward_batch_size": 2,
    },
}


@pytest.fixture(autouse=True)
def launched_by_nobody(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    accelerate.PartialState._reset_state()
    yield
    accelerate.PartialState._reset_state()


@pytest.fixture(scope="module")
def ended(tmp_path_factory, pipeline):
    """What so many processes end with: a folder."""
    folders = {}
    flow = save_sd3(tmp_path_factory.mktemp("models") / "sd3")

    def run(count):
        if count not in folders:
            folder = tmp_path_factory.mktemp("processes") / str(count)
            small = {
                "model": str(pipeline),
                "prompt": "one rose",
                "seed": 3,
                "images_per_epoch": 8,
                "num_inference_steps": 4,
                "sample_batch_size": 3,
            }
            heros = {
                "embedding_lr": 1e-3,
                "embedding_steps": 5,
                "trained_steps": 2,
                "minibatch_size": 4,
                "forward_batch_size": 3,
                "learning_rate": 1e-2,
            }
            of_method = {
                "hero": heros,
                "hero+": {"embedding_lr": 1e-3, "embedding_steps": 5},
                "hero by flow": {**heros, "model": str(flow)},
                "hero+ by flow": {
                    "model": str(flow),
                    "embedding_lr": 1e-3,
                    "embedding_steps": 5,
                },
                "two prompts": {"embedding_lr": 1e-3, "embedding_steps": 5},
                "d3po": {"trained_steps": 2, "minibatch_size": 4, "forward_batch_size": 2},
            }
            runs = {name: {**small, **of_method[name], **RUNS[name]} for name in RUNS}
            run_together(epochs, count, folder, runs)
            folders[count] = folder
        return folders[count]

    return run


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.equal(found[key], tensor), key


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_end_with_what_one_ends_with(ended, count):
    alone, together = ended(1), ended(count)
    for name in RUNS:
        expected = load_file(alone / f"{name} 0.safetensors")
        reports = json.loads((alone / f"{name} 0.json").read_text())
        assert [report["updated"] for report in reports] == [True, True]
        for number in range(count):
            assert_same(load_file(together / f"{name} {number}.safetensors"), expected)
            assert json.loads((together / f"{name} {number}.json").read_text()) == reports


@pytest.mark.slow
def test_what_several_processes_wrote_is_one_whole_checkpoint(ended):
    alone, together = ended(1), ended(2)
    for name in RUNS:
        one, other = (Method.resume(folder / f"{name} checkpoint") for folder in (alone, together))
        assert one.epoch == other.epoch == 2
        found = other._tensors()
        for file, tensors in one._tensors().items():
            assert_same(found[file], tensors)
        assert_same(
            *(load_file(folder / f"{name} lora.safetensors") for folder in (alone, together))
        )


@pytest.mark.slow
def test_parts_are_done_once_and_one_process_writes(tmp_path):
    run_together(parts, 3, tmp_path / "together")
    written = sorted(path.name for path in (tmp_path / "together").iterdir())
    assert [name for name in written if name.startswith("done")] == [f"done {p}" for p in "abcdef"]
    assert [name for name in written if name.startswith("written")] == ["written by 0"]
    for number in range(3):
        assert (tmp_path / "together" / f"told {number}").read_text() == "no room for 0"


@pytest.mark.slow
def test_processes_that_have_not_the_same_say_which_and_what(tmp_path):
    run_together(unlike, 3, tmp_path / "together")
    for number in range(3):
        said = json.loads((tmp_path / "together" / f"said {number}.json").read_text())
        unready, none, same, differs, who = said
        assert unready.startswith("ProcessUnready: Process 1 of 3, on ")
        assert unready.endswith("cannot take part in this step: no model here")
        assert none == f"ModelNotFound: no model for {number}"
        assert same == ""
        assert differs.startswith("ProcessesDiffer: The number of process 1 of 3 is not that")
        assert who == "0 of 3"


@pytest.mark.slow
def test_processes_that_did_not_learn_the_same_say_so(tmp_path, pipeline):
    fields = {
        "model": str(pipeline),
        "prompt": "one rose",
        "images_per_epoch": 8,
        "num_inference_steps": 2,
        **RUNS["two prompts"],
        "further_prompts": [],
    }
    run_together(one_learns_otherwise, 2, tmp_path / "together", fields)
    for number in range(2):
        said = (tmp_path / "together" / f"said {number}").read_text()
        assert said.startswith("ProcessesDiffer: The LoRA after epoch 1 of process 1 of 2 is not")


@pytest.mark.slow
def test_the_others_do_not_wait_for_one_that_has_ended(tmp_path):
    run_together(one_leaves, 3, tmp_path / "together")
    for number in (0, 2):
        said = (tmp_path / "together" / f"said {number}").read_text()
        assert said.startswith("ProcessLost: Another process of this step has ended")
        assert "\n" not in said


def test_one_process_does_every_part_in_order():
    seen = []
    assert processes.shared("abc", lambda number, part: seen.append(part) or number) == [0, 1, 2]
    assert seen == ["a", "b", "c"]
    assert (processes.world_size(), processes.rank()) == (1, 0)
    processes.by_first(lambda: seen.append("written"))
    assert seen[-1] == "written"
    processes.all_ready(lambda: seen.append("ready"))
    assert seen[-1] == "ready"
    assert processes.decided(lambda: 5) == 5
    processes.check_same("Nothing", lambda: pytest.fail("there is nobody to compare with"))
    tensor = torch.ones(2)
    processes.from_first([tensor])
    assert tensor.tolist() == [1, 1]


def test_gradients_are_added_to_those_there_were():
    weight, unused = (torch.nn.Parameter(torch.tensor(3.0)) for _ in range(2))

    def backward(factor):
        (factor * weight.square()).backward()
        return factor

    assert processes.shared_gradients([weight, unused], [1.0, 0.5], backward) == [1.0, 0.5]
    assert (weight.grad.item(), unused.grad) == (9.0, None)
    processes.shared_gradients([weight, unused], [1.0], backward)
    assert weight.grad.item() == 15.0


@pytest.mark.parametrize(
    "environment",
    [
        {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "1"},
        {"LOCAL_RANK": "0"},
        {"RANK": "1", "WORLD_SIZE": "2"},
    ],
    ids=["a group of one", "a rank alone", "no local rank"],
)
def test_a_process_that_is_alone_needs_no_launcher(make_config, monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run = Method.create(make_config())
    assert run.policy.device == processes.device()
    assert not torch.distributed.is_initialized()
    assert len(run.sample(1).images) == 1
    for name, value in environment.items():
        assert processes.os.environ[name] == value


def test_processes_that_do_not_come_together_are_one_sentence(make_config, monkeypatch):
    for name, value in {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        with pytest.raises(
            ConfigError, match=r"one of 2 processes .*MASTER_ADDR.*torchrun"
        ) as said:
            Method.create(make_config())
        assert "\n" not in str(said.value)
