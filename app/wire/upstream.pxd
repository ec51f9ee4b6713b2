from app.wire.connection cimport Connection
from app.wire.frames cimport masked_header

cdef class UpstreamSocket(Connection):
    pass
