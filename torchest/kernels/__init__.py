"""Loops over strings and rows, compiled for the processor that they run on.

numba compiles a function of this package when it is first called, and keeps what it compiled on the disk beside the
package, or in the user's cache if that cannot be written to. Importing one of these modules imports numba: they are
imported where they are used, so that a program that needs none of them starts without it.
"""
