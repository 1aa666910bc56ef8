"""Reading and checking configurations: JSON files, overrides, and the values of knobs."""
