"""The demo's tests. Many provoke refusals, so the console shows none of those."""

import logging

for handler in logging.getLogger("django").handlers:
    handler.setLevel(logging.CRITICAL)
