"""What every experiment's command shares."""
