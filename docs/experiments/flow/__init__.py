"""The flow demonstrator: its training, its ways of drawing in few steps, and their measurement."""
