from producer.transcode.writer cimport Writer

cdef int write_date(Writer out, bytes source, Py_ssize_t start, Py_ssize_t end) except -1
cdef int write_time(Writer out, bytes source, Py_ssize_t start, Py_ssize_t end, int form, bint cut) except -1
cdef int write_timestamp(Writer out, bytes source, Py_ssize_t start, Py_ssize_t end, int form, bint cut) except -1
cdef int write_zoned_timestamp(Writer out, bytes source, Py_ssize_t start, Py_ssize_t end) except -1
cdef int write_interval(Writer out, bytes source, Py_ssize_t start, Py_ssize_t end) except -1
