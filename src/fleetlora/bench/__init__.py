"""Benchmarks: what the project claims about itself, measured by one command each."""

from fleetlora.bench.registry import BENCHES, Bench

__all__ = ["BENCHES", "Bench"]
