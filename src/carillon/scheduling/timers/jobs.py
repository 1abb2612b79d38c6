"""Timers in the background."""

from carillon.storage.jobs import Timed

from . import api

timed = (Timed("timer.tick", "* * * * * */5", api.tick),)
