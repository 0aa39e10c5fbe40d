"""The ladder's page: its tables, texts and figures, from committed results."""
