"""Rows of other weights must not count."""

from pathlib import Path

from benchmarks import fingerprint


def test_other_weights_have_another_fingerprint(tmp_path: Path, monkeypatch) -> None:
    found = set()
    for weights in (b"one", b"two"):
        (tmp_path / "unet").mkdir(exist_ok=True)
        (tmp_path / "unet" / "model.safetensors").write_bytes(weights)
        (tmp_path / "judge.safetensors").write_bytes(b"judge")
        monkeypatch.setattr(fingerprint, "PIPELINE", tmp_path / "unet")
        monkeypatch.setattr(fingerprint, "JUDGE", tmp_path / "judge.safetensors")
        fingerprint.model_fingerprint.cache_clear()
        found.add(fingerprint.model_fingerprint())
    fingerprint.model_fingerprint.cache_clear()
    assert len(found) == 2
    assert all(len(name) == 12 for name in found)
