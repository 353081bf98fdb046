"""Comparing methods: many runs on equal terms, what they came to, and how sure that is."""

from fleetlora.comparison.files import Comparison, is_comparison, open_comparison
from fleetlora.comparison.merge import merge_documents
from fleetlora.comparison.study import compare, compare_runs
from fleetlora.comparison.tune import Tuned, read_tuned, tune

__all__ = [
    "Comparison",
    "Tuned",
    "compare",
    "compare_runs",
    "is_comparison",
    "merge_documents",
    "open_comparison",
    "read_tuned",
    "tune",
]
