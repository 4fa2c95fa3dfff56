cdef class Counts:
    cdef public long long creates
    cdef public long long updates
    cdef public long long deletes
    cdef public long long truncates
    cdef public long long messages
