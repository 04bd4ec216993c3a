"""Accounts and devices as operators see them: state, tags, mutes, a test push."""
