"""One file a command of `singdiffusion`; heavy imports wait until a command runs."""
