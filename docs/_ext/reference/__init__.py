"""Makes the pages of the reference from the code, as Markdown that reads the same in the repository and on the site."""
