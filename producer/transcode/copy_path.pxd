from producer.transcode.walker cimport Walker

cdef class CopyPath:
    cdef Walker _walker
    cdef readonly bytes held
    cdef readonly Py_ssize_t records
    cdef readonly Py_ssize_t size
