"""From images to Label Studio tasks."""
