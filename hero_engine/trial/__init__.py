"""What an epoch will take, and how much fits into a pass: found by trying the model."""
