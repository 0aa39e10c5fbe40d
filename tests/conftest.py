"""Settings of the whole suite: hypothesis profiles, and torch threads under xdist."""

import os

import torch
from hypothesis import settings

# A rerun must not decide: the default repeats its examples; `--hypothesis-profile=full` searches.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("full", deadline=None, max_examples=10_000, print_blob=True)
settings.load_profile("ci")

# One worker a core: threads on top of that only take turns.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)

# xdist gives its workers a terminal's width, which the commands would take for that of the user's.
os.environ.pop("COLUMNS", None)
