"""Responses: the generated answers, streams, the choice by Accept, and JSON."""
