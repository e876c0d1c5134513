"""The blind comparison of two models: drawn, put before people, counted."""
