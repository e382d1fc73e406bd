"""Try a lead, a real one or an imaginary one: every criterion, whether it fires and why, by two versions."""
