"""TEMPORARY."""

from carillon.gateway.routing import router as make

router = make("/campaigns", "campaigns")
