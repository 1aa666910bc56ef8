"""Trained weights: reading them, and what they say of their own training."""
