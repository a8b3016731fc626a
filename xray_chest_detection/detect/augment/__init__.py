"""Random changes of training films that ultralytics does not have for boxes."""
