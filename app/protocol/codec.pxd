# C types of codec.py, for the compiled build (setup.py).

cimport cython


cpdef dict decode(bytes payload)

@cython.locals(frame=dict)
cpdef dict decode_strictly(bytes payload)

cdef dict _checked(object frame)

cdef bint _flat(dict frame)
