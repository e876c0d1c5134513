"""The paper's tables and figures, one file each: which runs it needs, and how it is laid out."""
