"""The paper's claims, measured on the tiny world: programs that print tables."""
