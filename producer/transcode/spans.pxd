from libc.string cimport memchr, memcmp

from producer.transcode.writer cimport Writer

cdef Py_ssize_t json_string_end(bytes source, Py_ssize_t start) except -1
cdef Py_ssize_t bare_end(bytes source, Py_ssize_t start) except -1
cdef Py_ssize_t find(bytes source, int c, Py_ssize_t start, Py_ssize_t end) except? -1
cdef long long big_endian(bytes source, Py_ssize_t at, Py_ssize_t size) except? -1
cdef bytes json_unescape(Writer scratch, bytes source, Py_ssize_t start, Py_ssize_t end)
cdef bytes copy_unescape(Writer scratch, bytes source, Py_ssize_t start, Py_ssize_t end)
cdef bint matches(bytes source, Py_ssize_t start, bytes expected) except -1
