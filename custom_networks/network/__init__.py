"""The network: one block of Figure 1 in each file."""
