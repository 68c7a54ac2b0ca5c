"""Recordings: trials of a population at many stimuli, and what is asked of them."""
