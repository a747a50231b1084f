"""Whether everything is put to everything (`make conformance`), or the suite has to end within its ten minutes.

A kernel for each rule, setting and dtype takes half a second to compile, and there are thousands.
"""

import os

THOROUGH = bool(os.environ.get("THALWEG_THOROUGH"))
