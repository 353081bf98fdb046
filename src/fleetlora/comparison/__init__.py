"""Comparing methods: many runs on equal terms, what they came to, and how sure that is."""

from fleetlora.comparison.files import Comparison, is_comparison, open_comparison
from fleetlora.comparison.study import compare, compare_runs

__all__ = ["Comparison", "compare", "compare_runs", "is_comparison", "open_comparison"]
