"""Derivations, experiments and the pictures of the pages."""
