"""The process that carries runs round the circle."""
