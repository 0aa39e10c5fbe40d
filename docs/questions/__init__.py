"""The ten questions of the paper's summary, each a page with one experiment that runs."""
