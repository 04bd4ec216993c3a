"""The first page: what needs attention, how the platform is doing, and the menu."""
