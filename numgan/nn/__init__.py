"""Networks: objects around kernels.

A layer binds kernels to buffers, a plan is the list of bound calls of one batch size, a network strings them together.
"""
