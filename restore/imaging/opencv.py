"""OpenCV with one thread a process. Every module of `restore` imports `cv2` from here.

A cluster runs one process per core, so OpenCV's own threads would only contend for the same cores.
"""

from __future__ import annotations

import cv2

__all__ = ["cv2"]

cv2.setNumThreads(1)
