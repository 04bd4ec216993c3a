"""The sandbox provider: an HTTP server that speaks Xinge v2 and TPNS, and shows what phones would show."""
