"""The tag `labels` of the contract: handlers (HTTP) and queries (SQL). Its tables are those of tasks."""
