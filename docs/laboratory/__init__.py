"""The laboratory: the package's own models drawn in the reader's browser, with the pictures of the command `singdiffusion sample`."""
