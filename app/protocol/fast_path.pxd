# C types of fast_path.py, for the compiled build (setup.py).

cimport cython

cdef Py_ssize_t _LONGEST_NUMBER, _NEAR
cdef int _DEEPEST
cdef int _NOT_PLAIN, _PLAIN, _ESCAPED, _CONTENT_IS_TEXT, _CONTENT, _TIMESTAMP, _CHANNEL
cdef bytes _TEXT, _MESSAGE, _NULL, _TRUE, _FALSE
cdef tuple _KEYS
cdef unsigned char _QUOTE, _COLON, _COMMA, _OPENING, _CLOSING, _ESCAPE, _SPACE, _ZERO, _NINE
cdef unsigned char _NOT_ASCII

cpdef bint is_simple_text(bytes payload)

@cython.locals(found=int)
cpdef bint is_simple_message(bytes payload)

@cython.locals(
    octets="const unsigned char *",
    end=Py_ssize_t,
    position=Py_ssize_t,
    found=int,
    depth=int,
    member=int,
    key=int,
    kind=int,
)
cdef int _members(bytes payload, bytes head, int deepest) except -1

@cython.locals(wanted="const unsigned char *", size=Py_ssize_t, at=Py_ssize_t)
cdef bint _stands(
    const unsigned char *octets, Py_ssize_t position, Py_ssize_t end, bytes expected
) except -1

@cython.locals(at=int)
cdef int _key(const unsigned char *octets, Py_ssize_t position, Py_ssize_t end) except -2

@cython.locals(octet="unsigned char", start=Py_ssize_t, size=Py_ssize_t)
cdef Py_ssize_t _after_scalar(
    bytes payload, const unsigned char *octets, Py_ssize_t position, Py_ssize_t end, int kind
) except -1

@cython.locals(near=Py_ssize_t)
cdef Py_ssize_t _after_text(
    bytes payload, const unsigned char *octets, Py_ssize_t position, Py_ssize_t end, int kind
) except -1

@cython.locals(octet="unsigned char")
cdef Py_ssize_t _after_escaped(
    const unsigned char *octets, Py_ssize_t position, Py_ssize_t end
) except -1

@cython.locals(
    octets="const unsigned char *",
    irregular="unsigned char",
    escaped="unsigned char",
    every="unsigned char",
    at=Py_ssize_t,
    octet="unsigned char",
)
cdef int _kind_of(bytes payload) except -1

cdef bint _is_utf8(bytes payload) except -1
