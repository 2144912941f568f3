"""Binds FastAPI handlers to an OpenAPI contract. Depends on no service: no task, no token, no database.

A service imports Contract (`contract.py`), ContractRouter (`router.py`), contract_app (`application.py`), Problem
(`problems.py`), and bind and run (`server.py`); README.md has a whole one.
"""
