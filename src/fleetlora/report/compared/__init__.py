"""What a person sees of a comparison: its tables, its figures and its page."""

from fleetlora.report.compared.tables import write_tables

__all__ = ["write_tables"]
