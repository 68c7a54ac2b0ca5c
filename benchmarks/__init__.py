"""Benchmarks: every speed statement as a ratio to its peer, measured side by side in one run."""
