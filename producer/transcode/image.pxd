from producer.transcode.forms cimport Codec, Route, write_value
from producer.transcode.spans cimport bare_end, big_endian, copy_unescape, find, json_string_end, json_unescape, matches
from producer.transcode.writer cimport Writer

cdef class Image:
    cdef Writer data
    cdef int column
    cdef int suspects
    cdef int holes
    cdef Writer _aside
    cdef Writer _sorted
    cdef Writer _scratch
    cdef Py_ssize_t from_json(self, bytes message, Py_ssize_t at, Route route, bint identity) except? -1
    cdef Py_ssize_t from_tuple(self, bytes message, Py_ssize_t at, Route route, bint identity) except? -1
    cdef int from_copy(self, bytes row, Route route) except -1
    cdef bytes key(self, Route route, Writer out)
    cdef Py_ssize_t _json_value(self, bytes message, Py_ssize_t at, Codec codec, Writer into) except -1
    cdef int _copy_value(self, bytes row, Py_ssize_t at, Py_ssize_t end, Py_ssize_t escape, Codec codec, Writer into) except -1
    cdef int _null(self, Route route, int column, Writer into, bint identity) except -1
    cdef int _sort(self, Route route) except -1
