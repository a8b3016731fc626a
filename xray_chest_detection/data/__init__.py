"""Tables, splits and data sets: from public annotations to files a detector can train on."""
