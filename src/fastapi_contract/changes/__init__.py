"""The judgement of a contract by the one that was released before it."""
