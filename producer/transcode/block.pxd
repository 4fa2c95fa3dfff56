from producer.transcode.writer cimport Writer

cdef class Tally:
    cdef readonly long long events
    cdef long long latest

cdef class Blocks:
    cdef bint _open
    cdef bytes _head
    cdef dict _tallies
    cdef bytes _names
    cdef Tally _tally
    cdef Writer _out
    cdef int write(self, Writer out, bytes names, long long ordinal) except -1
