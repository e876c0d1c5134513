"""Families of image models behind one interface, with LoRA on attention."""
