"""The pictures that experiments train on and compare with, and their prompts."""
