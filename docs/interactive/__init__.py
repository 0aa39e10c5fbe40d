"""Figures that answer to sliders, in pages that need no server and no network."""
