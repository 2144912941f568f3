"""todo-api: a task service that is driven by its contract."""
