"""A model beside a recording, in time: which area is like it, and how much later."""
