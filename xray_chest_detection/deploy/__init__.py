"""Before the page goes to App Engine: what would be uploaded, and whether it works and fits there."""
