"""Loops over strings and rows, compiled for the processor by Numba.

Numba compiles a function of this package at its first call, and caches the result on the disk beside the package, or
in the user's cache if the package is not writable. Importing one of these modules imports Numba, so callers import them
on use: a program that needs none of them starts without Numba.
"""
