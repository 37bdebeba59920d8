"""Calibrated slopes: planted worlds say what true slope is read like this."""

from quantascope.qdg.calibrate.readings import METHODS
from quantascope.qdg.calibrate.slope import CalibratedSlope, calibrate_slopes, not_calibrated

__all__ = ["METHODS", "CalibratedSlope", "calibrate_slopes", "not_calibrated"]
