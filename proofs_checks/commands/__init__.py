"""What the command `singtheory` runs."""
