"""The processes: sampling steps with their likelihood, and the forward process."""
