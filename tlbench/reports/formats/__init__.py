"""Tables as text, Markdown, LaTeX, CSV, JSON or HTML; text from records is escaped here."""
