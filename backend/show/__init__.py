"""Tables, pictures and curves for people."""
