"""Pull what platforms know of their runs into the store."""
