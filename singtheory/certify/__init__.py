"""Certificates in ball arithmetic: an inequality shown on whole boxes of laws and gaps."""

from singtheory.certify.certified_bound import CertifiedBound, family, plain
from singtheory.certify.gap_range import GapRange
from singtheory.certify.interval import NAMESPACE, Box, Certificate, ball, certify, describe, enclose, precision
from singtheory.certify.two_point import QUICK, WHOLE, certify_two_points, mmse

__all__ = [
    "NAMESPACE",
    "QUICK",
    "WHOLE",
    "Box",
    "Certificate",
    "CertifiedBound",
    "GapRange",
    "ball",
    "certify",
    "certify_two_points",
    "describe",
    "enclose",
    "family",
    "mmse",
    "plain",
    "precision",
]
