"""Operators: dynamic convolution, edge modulation, morphological boundary."""
