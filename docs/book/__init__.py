"""What the pages of the site are made with: checks, steps of proofs, drawings, committed results."""

from docs.book.check import check
from docs.book.drawing import drawing
from docs.book.result import result
from docs.book.step import equal

__all__ = ["check", "drawing", "equal", "result"]
