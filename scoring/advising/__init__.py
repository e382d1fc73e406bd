"""What the figures say about an agreement: rules to look at, points to think over. A person decides."""
