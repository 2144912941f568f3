"""`todo-api`, and `python -m todo_api`."""

import gc


def main() -> None:
    # Nearly all that is loaded stays. To look through it for garbage, again and again, takes a seventh of the start.
    gc.disable()
    from todo_api import cli

    cli.main()


if __name__ == "__main__":
    main()
