"""Batches and checkpoints on the disk, whole or not at all."""
