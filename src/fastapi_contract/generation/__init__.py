"""Generated code: what generators read, the typed answers, and whether generated/ is from this contract."""
