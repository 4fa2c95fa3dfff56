from producer.transcode.block cimport Blocks
from producer.transcode.counts cimport Counts
from producer.transcode.forms cimport Route
from producer.transcode.image cimport Image
from producer.transcode.numbers cimport read_lsn
from producer.transcode.source_block cimport Parts
from producer.transcode.spans cimport big_endian, find, json_string_end, matches
from producer.transcode.writer cimport Writer

cdef class Walker:
    cdef readonly bytes key
    cdef readonly bytes value
    cdef readonly bytes old_key
    cdef readonly bytes old_value
    cdef readonly str topic
    cdef readonly int column
    cdef readonly long long lsn
    cdef readonly int suspects
    cdef readonly int holes
    cdef readonly Blocks blocks
    cdef dict _counts
    cdef dict _routes
    cdef dict _bound
    cdef set _foreign
    cdef Route _route
    cdef Route _copied
    cdef Route _last
    cdef Image _new
    cdef Image _old
    cdef Writer _out
    cdef Parts _parts
    cdef bytes _times
    cpdef int row(self, bytes message, Py_ssize_t start, long long ordinal) except -1
    cpdef int count(self, int op) except -1
    cpdef int tuple_row(self, bytes message, Py_ssize_t start, long long ordinal) except -1
    cpdef begin(self, Parts parts)
    cpdef copy_row(self, bytes row, plan, long long lsn)
    cdef int _row(self, bytes message, Py_ssize_t start, long long ordinal) except -1
    cdef int _tuple_row(self, bytes message, Py_ssize_t start, long long ordinal) except -1
    cdef int _delete(self, Route route, long long ordinal) except -1
    cdef int _update(self, Route route, bytes key, bytes old_key, long long ordinal) except -1
    cdef Route _find(self, bytes message, Py_ssize_t at)
    cdef bytes _envelope(self, Route route, bint before, bint after, int op, long long ordinal)
    cdef int _keep(self, Route route, int code, bytes key, bytes value) except -1
