"""The ways to compute the dynamic convolution, eq. (3); `registry.py` lists them in the order of preference."""
