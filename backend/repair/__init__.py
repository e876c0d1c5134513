"""A run's files seen to be whole, and made again where they are not.

Learning is deterministic: the batch of an epoch follows from the checkpoint before it, and the next
checkpoint from the batch and the verdicts, which the database has. So whatever is damaged is made
again from what came before it, the oldest first. A batch that people have judged is taken only if
it shows the same images.
"""

from backend.repair.mending import Found, mend, unmended

__all__ = ["Found", "mend", "unmended"]
