"""Requests: reads parameters and bodies strictly, and validates them against the contract's schemas."""
