"""What holds for all tests."""

import os

# Before anything imports torch: two workers of two threads each on two cores wait for each other, not for the work.
os.environ.setdefault("OMP_NUM_THREADS", "1")
