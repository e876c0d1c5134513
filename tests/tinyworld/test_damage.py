"""Ways in which an image goes wrong."""

import torch

from tinyworld import damage


def _edges(images: torch.Tensor) -> float:
    return images.diff(dim=-1).abs().mean().item()


def _images() -> torch.Tensor:
    return torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_blur_softens_edges_and_keeps_a_flat_image() -> None:
    images = _images()
    assert _edges(damage.blurred(images, 2.0)) < 0.2 * _edges(images)
    flat = torch.full((1, 3, 64, 64), 0.3)
    torch.testing.assert_close(damage.blurred(flat, 2.0), flat)


def test_smears_leave_part_of_the_image_alone() -> None:
    images = _images()
    same = (damage.smeared(images, torch.Generator().manual_seed(1)) == images).float().mean()
    assert 0.05 < same < 0.95


def test_a_ghost_is_a_mixture_with_another_image() -> None:
    images = torch.stack([torch.zeros(3, 64, 64), torch.ones(3, 64, 64)])
    ghosts = damage.ghosted(images, torch.Generator().manual_seed(1))
    assert 0.2 < ghosts[0].max() <= 0.5
    assert 0.5 <= ghosts[1].min() < 0.8


def test_shuffling_moves_pixels_without_changing_them() -> None:
    images = _images()
    moved = damage.shuffled(images, torch.Generator().manual_seed(1))
    assert not torch.equal(moved, images)
    torch.testing.assert_close(moved.flatten(2).sort().values, images.flatten(2).sort().values)


def test_damage_that_cannot_be_seen_does_not_count() -> None:
    flat = torch.zeros(2, 3, 64, 64)
    changed = flat.clone()
    changed[1, :, :20, :20] = 0.5
    assert damage.visible(flat, changed).tolist() == [False, True]
