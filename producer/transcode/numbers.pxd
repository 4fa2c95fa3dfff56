from producer.transcode.writer cimport Writer

cdef Py_ssize_t _SAFE_DIGITS

cdef int write_long(Writer out, bytes source, Py_ssize_t start, Py_ssize_t end) except -1
cdef int write_decimal(Writer out, bytes source, Py_ssize_t start, Py_ssize_t end, int scale, int precision) except -1
cdef int write_variable_decimal(Writer out, bytes source, Py_ssize_t start, Py_ssize_t end) except -1
cdef int write_float(Writer out, bytes source, Py_ssize_t start, Py_ssize_t end, bint double) except -1
cdef long long read_lsn(bytes source, Py_ssize_t start, Py_ssize_t end) except? -2
