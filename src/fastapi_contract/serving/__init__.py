"""The server: uvicorn's protocol, workers, and an orderly shutdown."""
