"""`promptlane doctor`: looks at a deployment and its account, and says what is wrong and what to do about it."""
