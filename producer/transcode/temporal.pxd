from producer.transcode.writer cimport Writer

cdef long long _DAY_MICROS
cdef long long _LONG_MAX
cdef long long _DAY_MILLIS
cdef long long _FAR_DAYS
cdef long long _LAST_DAY
cdef long long _LAST_MICROS
cdef long long _LAST_NANOS

cdef int write_date(Writer out, bytes source, Py_ssize_t start, Py_ssize_t end) except -1
cdef int write_time(Writer out, bytes source, Py_ssize_t start, Py_ssize_t end, int form, bint cut) except -1
cdef int write_timestamp(Writer out, bytes source, Py_ssize_t start, Py_ssize_t end, int form, bint cut) except -1
cdef int write_zoned_timestamp(Writer out, bytes source, Py_ssize_t start, Py_ssize_t end) except -1
cdef int write_interval(Writer out, bytes source, Py_ssize_t start, Py_ssize_t end) except -1
cdef long long read_utc(bytes source, Py_ssize_t start, Py_ssize_t end) except? -1
