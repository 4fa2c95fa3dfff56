from producer.transcode.writer cimport Writer

cdef class Parts:
    cdef readonly bytes record_head
    cdef readonly bytes source_head
    cdef readonly bytes sequence_head
    cdef readonly bytes source_times
    cdef readonly bytes source_transaction
    cdef readonly bytes source_commit

cdef class SourceBlock:
    cdef bytes _identity
    cdef bytes _database
    cdef Writer _out
    cpdef Parts transaction(self, bytes record_head, long long xid, long long commit_lsn, long long commit_us, long long previous)
    cdef Parts _parts(self, bytes record_head, long long micros, bytes snapshot, long long xid, long long commit_lsn, long long previous)
