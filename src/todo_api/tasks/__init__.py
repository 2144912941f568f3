"""The tag `tasks` of the contract: handlers (HTTP), queries (SQL), table and cursor."""
