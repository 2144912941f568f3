"""The document: reads `openapi.yaml`, and rejects what OpenAPI forbids or the engine cannot carry."""
