import re

import pytest

from hero_engine.errors import ConfigError, ModelNotFound
from hero_engine.methods.check_run import check_run
from hero_engine.models import memory
from tests.hero_engine.tiny import save_pipeline


def test_a_run_that_can_start_has_no_warnings(make_config):
    assert check_run(make_config()) == []


def test_a_prompt_that_is_too_long_is_told_what_is_cut(make_config):
    (warning,) = check_run(make_config(prompt="one blue rose in a tall vase"))
    assert 'has 24 tokens and the model reads 12: "e in a tall vase" is cut off' in warning


def test_a_run_that_cannot_start_says_why(make_config, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFound, match=r"no model_index\.json"):
        check_run(make_config(model=str(tmp_path / "empty")))
    with pytest.raises(ConfigError, match="mixed_precision is fp16"):
        check_run(make_config(mixed_precision="fp16"))
    folder = save_pipeline(tmp_path / "pipe", steps_offset=0, set_alpha_to_one=True)
    with pytest.raises(ConfigError, match="only 3 of the 4 denoising steps"):
        check_run(make_config(model=str(folder), trained_steps=4))


def test_too_little_memory_is_warned_of_with_what_helps(make_config, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda _: 20_000_000)
    sizes = {"height": 1024, "width": 512, "forward_batch_size": 8}
    (warning,) = check_run(make_config(memory="high", **sizes))
    said = re.sub(r"\d+\.\d GB", "GB", warning)
    assert "it takes about GB of the 20 MB that are free; that may be too little. " in said
    assert said.endswith(
        "What helps: --memory low (about GB less); --set forward_batch_size=1 (about GB less); "
        "--height 512 --width 256 (about GB less)."
    )


def test_a_prompt_that_is_no_text(make_config):
    typed = b"caf\xe9 rose".decode(errors="surrogateescape")
    for field in ("prompt", "negative_prompt"):
        with pytest.raises(ConfigError, match=r"prompt is no text: the bytes at its 4\. char"):
            check_run(make_config(**{"prompt": "a rose", field: typed}))
