"""The loss, eq. (5)."""
