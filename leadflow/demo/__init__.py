"""A believable company, lived through the real engine and machine."""
