from producer.transcode.numbers cimport read_lsn
from producer.transcode.source_block cimport Parts, SourceBlock
from producer.transcode.spans cimport find, matches
from producer.transcode.temporal cimport read_utc
from producer.transcode.walker cimport Walker

cdef Py_ssize_t _HEADER
cdef Py_ssize_t _ACTION
cdef int _INSERT
cdef int _RECORD
cdef int _DELETE
cdef int _OTHER
cdef int _PASSED

cdef class FastPath:
    cdef Walker _walker
    cdef SourceBlock _block
    cdef bint _tombstones
    cdef Py_ssize_t _kind_at
    cdef readonly bytes message
    cdef public bint bypass
    cdef readonly Py_ssize_t messages
    cdef readonly Py_ssize_t records
    cdef readonly Py_ssize_t size
    cdef readonly bint open
    cdef readonly long long xid
    cdef readonly long long commit_lsn
    cdef readonly long long next_lsn
    cdef readonly long long commit_us
    cdef public long long ordinal
    cdef readonly Parts parts
    cdef bytes _tail
    cdef readonly long long committed
    cdef readonly long long committed_lsn
    cdef readonly long long committed_xid
    cdef readonly long long committed_us
    cdef readonly long long delivered
    cdef set _produced
    cdef int _step(self, bytes message) except -1
    cdef int _count(self, object produce, str topic, bytes value, bytes key, object ack) except -1
    cdef bint _begin(self, bytes message) except -1
    cdef int _open(self, bytes record_head, long long xid, long long commit_lsn, long long next_lsn, long long commit_us) except -1
    cdef bint _commit(self, bytes message) except -1
    cdef int _close(self, long long next_lsn) except -1
