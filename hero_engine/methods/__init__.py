"""What learns from the feedback, one method per file."""
