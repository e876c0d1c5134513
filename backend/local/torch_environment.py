"""What torch's processes are told by their environment, since it is too late once they run."""

TORCH_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_MMAP_THRESHOLD_": "268435456",
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
    "MALLOC_TOP_PAD_": "67108864",
}
"""For the worker: threads that wait must not take the cores from those that work (a busy machine is
up to 100 times slower otherwise), and large tensors are not given back between two steps."""
