"""Go's template language and regular expressions, as rules files are written in them. Pure."""
