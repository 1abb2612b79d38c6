"""The HTTP and WebSocket kit: routing, the auth port, limits, idempotency, problems, pages and live push."""
