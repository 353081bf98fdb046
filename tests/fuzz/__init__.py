"""Hostile files: every reader meets damaged, lying and senseless ones, and may answer with our errors alone.

``python -m tests.fuzz all --runs 100000`` fuzzes, coverage as its guide (extra ``fuzz``). The seeds lie in
``seeds/READER/CASE/``, made by ``python -m tests.fuzz.make_seeds``; inputs that once were findings lie in
``found/READER/``.
"""
