"""A model card as a page for people: what it says, and how that becomes Markdown or HTML."""
