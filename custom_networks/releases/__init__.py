"""Published weights: packed for others, listed, fetched from a folder or a URL, and installed."""
