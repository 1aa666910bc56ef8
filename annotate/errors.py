"""Mistakes of a client, each with its HTTP status; the message is one sentence that says what to do."""

from __future__ import annotations

from typing import Any

from custom_networks.errors import UserError


class ClientError(UserError):
    """A request that cannot be served.

    Args:
        message: one sentence.
        more: further facts for the client, beside "error" in the answer.
    """

    status = 400

    def __init__(self, message: str, **more: Any) -> None:
        super().__init__(message)
        self.more = more


class NotFound(ClientError):
    """What was asked for does not exist."""

    status = 404


class Conflict(ClientError):
    """What was asked for contradicts the present state."""

    status = 409


class TooLarge(ClientError):
    """An upload beyond the limit."""

    status = 413


class Unfit(ClientError):
    """An upload or a value of the wrong kind."""

    status = 422


class Unavailable(ClientError):
    """What was asked for needs something that this server does not have, weights for instance."""

    status = 409
