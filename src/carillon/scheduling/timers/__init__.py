"""Timers: a tenant's own timetable."""
