"""The pages of a service: the contract byte for byte, Swagger UI, Redoc, and problem types. None is an operation."""
