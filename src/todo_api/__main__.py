"""`python -m todo_api` is `todo-api`."""

from todo_api.cli import main

main()
