"""Entry point of `todo-api` and of `python -m todo_api`."""

import gc


def main() -> None:
    # Nearly all objects that imports create stay alive: collecting garbage meanwhile takes a seventh of the start-up
    # time. The server enables it again.
    gc.disable()
    from todo_api import cli

    cli.main()


if __name__ == "__main__":
    main()
