"""Settings, structured logs, metrics, health and notifications: what operators see and set."""
