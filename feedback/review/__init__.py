"""The monthly review: what both sides look at together, what they note, what they decide."""
