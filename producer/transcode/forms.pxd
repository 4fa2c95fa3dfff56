from producer.transcode.counts cimport Counts
from producer.transcode.numbers cimport write_decimal, write_float, write_long, write_variable_decimal
from producer.transcode.spans cimport find
from producer.transcode.temporal cimport write_date, write_interval, write_time, write_timestamp, write_zoned_timestamp
from producer.transcode.writer cimport Writer

cdef class Codec:
    cdef int form
    cdef int scale
    cdef int precision
    cdef int depth
    cdef int delimiter
    cdef Codec element
    cdef list attributes
    cdef frozenset labels
    cdef object function

cdef class Route:
    cdef readonly object plan
    cdef readonly str topic
    cdef Counts counts
    cdef int count
    cdef bytes names
    cdef long long oid
    cdef bytes tail
    cdef bytes key_frame
    cdef bytes value_frame
    cdef bytes source_names
    cdef bint full_identity
    cdef bint key_logged
    cdef bint reordered
    cdef int unlogged
    cdef list heads
    cdef list codecs
    cdef list key_codecs
    cdef list nulls
    cdef list absents
    cdef bytes nullable
    cdef bytes hides_nan
    cdef bytes in_identity
    cdef bytes key_column
    cdef int[::1] key
    cdef int[::1] order
    cdef Py_ssize_t[::1] starts
    cdef Py_ssize_t[::1] ends
    cdef Py_ssize_t[::1] pieces

cdef int write_value(Writer out, Codec codec, bytes source, Py_ssize_t start, Py_ssize_t end) except -1
