"""Serves the application, in this process or in workers that each create their own."""

import os
import socket
from typing import cast

from fastapi import FastAPI
from starlette.types import ASGIApp

from fastapi_contract.serving import server
from fastapi_contract.serving.limits import ConnectionLimits
from todo_api import logs
from todo_api.app import Mode, create_app
from todo_api.settings import load_settings

MODE = "TODO_API_MODE"
"""The environment variable from which worker processes read their mode. It is no setting: `serve` always sets it."""


def run(app: FastAPI, listener: socket.socket, workers: int, limits: ConnectionLimits) -> None:
    """Serves on a bound socket until SIGINT or SIGTERM.

    One worker serves `app` in this process. Each of several creates its own from the settings in the environment.
    `limits` are those of each worker's connections.
    """
    server.run(app, listener, workers, "todo_api.server:create_worker_app", limits)


def create_worker_app() -> ASGIApp:
    """Called by name in each worker process."""
    settings = load_settings()
    logs.configure(settings.log_format, settings.log_level)
    return server.worker_app(create_app(settings, mode=cast("Mode", os.environ[MODE])))
