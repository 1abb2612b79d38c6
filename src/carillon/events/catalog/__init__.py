"""Published event types, one module per cluster; a consumer imports these, never its producer."""
