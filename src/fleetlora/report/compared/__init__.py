"""What a person sees of a comparison: its tables, its figures and its page."""

from fleetlora.report.compared.build import build_comparison_report
from fleetlora.report.compared.columns import columns_of
from fleetlora.report.compared.tables import write_tables
from fleetlora.report.compared.words import sentences

__all__ = ["build_comparison_report", "columns_of", "sentences", "write_tables"]
