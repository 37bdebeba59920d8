"""Shapes of curves: monotone, inverse, U, double descent, abrupt, broken, or noise."""

from quantascope.laws.shapes.classify import CLAIMS, SHAPES, ShapeTable, classify_shapes
from quantascope.laws.shapes.curves import Curves

__all__ = ["CLAIMS", "SHAPES", "Curves", "ShapeTable", "classify_shapes"]
