"""From options to a run."""
