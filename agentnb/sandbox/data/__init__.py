"""The sample prices that ``finance_agent`` works on; see README.md beside this file."""
