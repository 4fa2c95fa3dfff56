from producer.transcode.fast_path cimport FastPath
from producer.transcode.source_block cimport SourceBlock
from producer.transcode.spans cimport big_endian, find
from producer.transcode.walker cimport Walker

cdef Py_ssize_t _HEADER
cdef Py_ssize_t _BEGIN_SIZE
cdef Py_ssize_t _COMMIT_SIZE
cdef long long _EPOCH_US
cdef long long _LAST_US
cdef int _OTHER
cdef int _PASSED

cdef class TuplePath(FastPath):
    cdef bytes _skipped
    cdef int _step(self, bytes message) except -1
    cdef bint _begin(self, bytes message) except -1
    cdef bint _commit(self, bytes message) except -1
