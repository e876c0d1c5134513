"""What a run is: its states, its records, how it is labelled."""
