"""Proofs to edit: the symbolic steps of a derivation's page, changed and run in the reader's browser by the package's own files."""
