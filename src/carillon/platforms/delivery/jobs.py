"""Delivery's work on the clock."""

from carillon.storage.jobs import Timed

from . import api

timed = (
    Timed("delivery.sweep", "* * * * * */5", api.sweep),
    Timed("delivery.forget_calls", "43 3 * * *", api.forget_calls),
)
