"""What things cost, each against a bare statement in the same run. Figures are shown, never asserted."""
