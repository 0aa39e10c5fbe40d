"""The ε demonstrator with few steps: its samplers from the matched start, and DDIM with corrected steps (F1)."""
