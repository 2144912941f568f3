"""Serves the application, in this process or in workers that each create their own."""

import socket

from fastapi import FastAPI
from starlette.types import ASGIApp

from fastapi_contract.serving import server
from todo_api import logs
from todo_api.app import create_app
from todo_api.settings import load_settings


def run(app: FastAPI, listener: socket.socket, workers: int) -> None:
    """Serves on a bound socket until SIGINT or SIGTERM.

    One worker serves `app` in this process. Each of several creates its own from the settings in the environment.
    """
    server.run(app, listener, workers, "todo_api.server:create_worker_app")


def create_worker_app() -> ASGIApp:
    """Called by name in each worker process."""
    settings = load_settings()
    logs.configure(settings.log_format, settings.log_level)
    return server.worker_app(create_app(settings))
