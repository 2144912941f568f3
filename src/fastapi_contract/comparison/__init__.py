"""The comparison of the code with the contract, before the service starts."""
