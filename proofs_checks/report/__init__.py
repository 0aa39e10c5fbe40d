"""The report, its pictures, and the pages and tables that are written from committed results."""
