"""What a person sees of a run: one page that explains itself, and its figures for print."""

from fleetlora.report.build import build_report
from fleetlora.report.figure import Axis, Figure, Series

__all__ = ["Axis", "Figure", "Series", "build_report"]
