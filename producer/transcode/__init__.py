"""Raw rows in, Avro bytes out: a small compiled walker, driven by plans.

Room: transcode (pure). The sources are Cython's pure Python mode: the same files run uncompiled.
"""

from producer.transcode.walker import compiled

__all__ = ["compiled"]
