"""Calibrated slopes: planted worlds say what true slope is read like this."""

from quantascope.qdg.calibrate.slope import CalibratedSlope, calibrate_slopes

__all__ = ["CalibratedSlope", "calibrate_slopes"]
