"""Detect abnormalities on chest X-rays: data preparation, training, evaluation, a web page.

Research software, not a medical device.
"""

__version__ = "0.1.0"
