"""The calibration workshop: people of both sides sort the same leads unseen, then compare."""
