# C types of frames.py, for the compiled build (setup.py).

cpdef bytes header(int opcode, Py_ssize_t size)
cpdef bytes masked_header(int opcode, Py_ssize_t size)
