from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy

cdef Py_ssize_t _KEPT
cdef Py_ssize_t _FIRST

cdef class Writer:
    cdef unsigned char[::1] data
    cdef readonly Py_ssize_t at
    cdef Py_ssize_t capacity
    cdef int reserve(self, Py_ssize_t size) except -1
    cdef int put(self, unsigned char value) except -1
    cdef int long(self, long long value) except -1
    cdef int raw(self, bytes source) except -1
    cdef int copy(self, bytes source, Py_ssize_t start, Py_ssize_t end) except -1
    cdef int string(self, bytes source, Py_ssize_t start, Py_ssize_t end) except -1
    cdef int append(self, Writer other, Py_ssize_t start, Py_ssize_t end) except -1
    cdef bytes take(self, Py_ssize_t start, Py_ssize_t end)
    cdef int rewind(self) except -1
    cdef int swap(self, Writer other) except -1
