"""The service: a HERO run as a Label Studio project, with people as the reward."""
