"""The spine: every change appends its event in the same transaction; consumers keep durable cursors."""
