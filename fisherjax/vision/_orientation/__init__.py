"""Small networks that read angles: what they are shown, how they are trained, and what their outputs know."""
