"""Every statement as a claim, a folder a group; importing a group registers its claims."""
