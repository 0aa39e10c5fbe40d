"""What a model draws, and what is wrong with its start."""

from singdiffusion.evaluation.album import write_album
from singdiffusion.evaluation.brightness_rows import (
    OWN,
    PROMPTS,
    Brightness,
    brightness,
    committed,
    control_of,
    fingerprint,
)
from singdiffusion.evaluation.calibration import calibrate, read_prompts
from singdiffusion.evaluation.coco import COCO, GUIDANCES, Metrics, captioned, curve
from singdiffusion.evaluation.data_statistics import read
from singdiffusion.evaluation.data_table import check_encodes, table_of
from singdiffusion.evaluation.diagnose_flow import FlowDiagnosis
from singdiffusion.evaluation.diagnosis import Diagnosis, Option, diagnose
from singdiffusion.evaluation.directions import Arrival
from singdiffusion.evaluation.findings import verdict
from singdiffusion.evaluation.findings_flow import Finding
from singdiffusion.evaluation.picture_data import load
from singdiffusion.evaluation.remedies import Expected
from singdiffusion.evaluation.response_run import Request, run, sentence
from singdiffusion.evaluation.sampling import (
    Picture,
    exchange_scheduler,
    load_pipeline,
    load_start,
    load_vae,
    place,
    sample,
)

__all__ = [
    "COCO",
    "GUIDANCES",
    "OWN",
    "PROMPTS",
    "Arrival",
    "Brightness",
    "Diagnosis",
    "Expected",
    "Finding",
    "FlowDiagnosis",
    "Metrics",
    "Option",
    "Picture",
    "Request",
    "brightness",
    "calibrate",
    "captioned",
    "check_encodes",
    "committed",
    "control_of",
    "curve",
    "diagnose",
    "exchange_scheduler",
    "fingerprint",
    "load",
    "load_pipeline",
    "load_start",
    "load_vae",
    "place",
    "read",
    "read_prompts",
    "run",
    "sample",
    "sentence",
    "table_of",
    "verdict",
    "write_album",
]
