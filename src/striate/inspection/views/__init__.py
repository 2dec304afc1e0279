"""An inspection as text, Markdown, a page and a picture."""
