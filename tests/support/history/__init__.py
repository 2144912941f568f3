"""Concurrent clients, faults, and a checker that decides whether the recorded answers fit together."""
