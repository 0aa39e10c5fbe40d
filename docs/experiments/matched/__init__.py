"""Matched reverse kernels: their measurement on the demonstrator and on digits."""
